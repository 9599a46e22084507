"""What the sequential tests have seen, look by look, each request once.

Slots are judged one by one; between them, and before quiet traffic fills one, the sequential tests go on
counting. Their sums are part of the status, so that a restart of the operator loses and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import floor, isfinite, log1p

from serinus.api.spec import Analysis, Metric, MetricKind
from serinus.api.status import Evidence, RolloutStatus, Stage
from serinus.core import sequential
from serinus.core.observed import Series, Window
from serinus.core.samples import Counts, counts, freshness, newest
from serinus.core.sequential import Arms

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Booked:
    """The evidence after a look: these fields of the rollout's status.

    ``seen`` is not kept: what bounds are tested on, with the canary's requests that still wait for
    some of stable.
    """

    evidence: tuple[Evidence, ...]
    evidence_until: datetime | None
    step_requests: int
    step_stable_requests: int
    seen: tuple[Evidence, ...]

    def update(self) -> dict[str, object]:
        """The fields by name, as ``RolloutStatus.model_copy`` takes them."""
        return {
            "evidence": self.evidence,
            "evidence_until": self.evidence_until,
            "step_requests": self.step_requests,
            "step_stable_requests": self.step_stable_requests,
        }

    def of(self, metric: Metric) -> Evidence:
        """What there is to test one metric of the spec on."""
        return next(e for e in self.seen if e.metric == key(metric))


def key(metric: Metric) -> str:
    """Name and definition: a metric that is changed in mid-rollout is another one.

    >>> key(Metric(name="errors", type=MetricKind.ERROR_RATE, max="0.01"))
    'errors: ErrorRate max 0.01'
    """
    parts = [f"{metric.name}: {metric.type.value}"]
    parts += [f"max {metric.max}"] if metric.max is not None else []
    if metric.compare_to is not None:
        parts.append(f"{metric.compare_to.value} + {metric.tolerated}, {metric.certainty}")
    elif metric.type is MetricKind.LATENCY:
        parts.append(f"quantile {metric.latency_quantile}")
    return " ".join(parts)


def limit(metric: Metric) -> float:
    """A bound as the share of requests that may be bad, between 0 and 1."""
    if metric.type is MetricKind.ERROR_RATE:
        return float(metric.max_ratio)
    return float(1 - metric.latency_quantile)


def tally(metric: Metric, found: Counts) -> tuple[int | None, int]:
    """Bad requests by this metric, and all of them; None: no bucket tells how many were too slow."""
    if metric.type is MetricKind.ERROR_RATE:
        return found.errors, found.requests
    total = max(found.buckets.values(), default=0)
    return found.slower_than(metric.max_duration.total_seconds()), total


def opened(spec: Analysis, rollout: RolloutStatus) -> Booked:
    """The evidence so far, as far as it is about this step and these metrics."""
    known = {evidence.metric: evidence for evidence in rollout.evidence}
    until, fresh = rollout.evidence_until, _step_is_new(rollout)
    evidence = []
    for metric in spec.metrics:
        name = key(metric)
        compared = metric.compare_to is not None
        if name in known and (compared or not fresh):
            evidence.append(known[name])
        else:
            wealth = _written(sequential.no_wealth()) if compared else ()
            evidence.append(Evidence(metric=name, wealth=wealth))
    requests = (0, 0) if fresh else (rollout.step_requests, rollout.step_stable_requests)
    return Booked(tuple(evidence), until, *requests, seen=tuple(evidence))


def _step_is_new(rollout: RolloutStatus) -> bool:
    until, began = rollout.evidence_until, rollout.step_started_at
    return until is None or (began is not None and until <= began)


def book(
    spec: Analysis,
    rollout: RolloutStatus,
    canary: Iterable[Series],
    stable: Iterable[Series] | None,
    window: Window,
) -> Booked:
    """The evidence with the requests since the last look on it; ``stable`` None: it could not be read.

    Both arms are counted up to the newest sample of either, and from where the last look ended: what
    came late is lost, nothing is counted twice. Where pods are scraped less often than they are looked at, a
    look may find new requests of one arm only; it is not kept until there are some of both, for as long as
    samples count as fresh.
    """
    before = opened(spec, rollout)
    canary, stable = tuple(canary), None if stable is None else tuple(stable)
    since = max(before.evidence_until or window.floor, window.floor)
    ends = (newest(canary, window), newest(stable or (), window))
    until = max((_whole(end) for end in ends if end is not None), default=None)
    if until is None or until <= since:
        return before
    recent = Window(since, until, window.floor)
    new = counts(canary, recent)
    if new is None:
        return before
    other = counts(stable, recent) if stable is not None else None
    one_sided = other is not None and not (new.requests and other.requests)
    if one_sided and window.end - since <= freshness(spec.interval):
        return replace(before, seen=_all(spec, before, new, None))
    evidence = _all(spec, before, new, other)
    requests, stable_requests = before.step_requests, before.step_stable_requests
    if other is not None and rollout.stage is not Stage.SHIFTING:
        # While the weight is on its way the split is neither the old one nor the new.
        requests, stable_requests = requests + new.requests, stable_requests + other.requests
    return Booked(evidence, until, requests, stable_requests, seen=evidence)


def _all(spec: Analysis, before: Booked, new: Counts, other: Counts | None) -> tuple[Evidence, ...]:
    pairs = zip(spec.metrics, before.evidence, strict=True)
    return tuple(_added(metric, old, new, other) for metric, old in pairs)


def _whole(moment: datetime) -> datetime:
    """As the status keeps it, rounded up: rounded down it would let a sample count again."""
    rest = timedelta(microseconds=moment.microsecond % 1000)
    return moment + (_MILLISECOND - rest) if rest else moment


def _added(metric: Metric, old: Evidence, new: Counts, other: Counts | None) -> Evidence:
    bad, total = tally(metric, new)
    if bad is None:
        return old
    if metric.compare_to is None:
        return old.model_copy(update={"total": old.total + total, "bad": old.bad + bad})
    if other is None:
        return old
    stable_bad, stable_total = tally(metric, other)
    if stable_bad is None:
        return old
    return _grown(metric, old, Arms(total, bad, stable_total, stable_bad))


def _grown(metric: Metric, old: Evidence, look: Arms) -> Evidence:
    before, wealth = Arms(old.total, old.bad, old.stable_total, old.stable_bad), _read(old.wealth)
    if wealth is None:
        before, wealth = Arms(), sequential.no_wealth()
    return Evidence(
        metric=old.metric,
        total=before.total + look.total,
        bad=before.bad + look.bad,
        stable_total=before.stable_total + look.stable_total,
        stable_bad=before.stable_bad + look.stable_bad,
        wealth=_written(sequential.compare(wealth, before, look, float(metric.tolerated))),
    )


def one_look(metric: Metric, old: Evidence, look: Arms) -> Evidence:
    """A comparison that begins and ends with this look, and knows of stable what was seen before."""
    start = old.model_copy(update={"wealth": _written(sequential.no_wealth())})
    return _grown(metric, start, look)


def _written(wealth: Iterable[float]) -> tuple[str, ...]:
    """Rounded down: a millionth of a logarithm is no evidence."""
    return tuple(f"{floor(one * 1e6) / 1e6:.6f}" for one in wealth)


def _read(wealth: tuple[str, ...]) -> tuple[float, ...] | None:
    """None for what we did not write, or wrote with other bets: then the test begins anew."""
    try:
        read = tuple(float(one) for one in wealth)
    except ValueError:
        return None
    ours = len(read) == len(sequential.no_wealth()) and all(isfinite(one) for one in read)
    return read if ours else None


def alarm(metric: Metric, seen: Evidence) -> str:
    """The sentence for people when the test of this metric has crossed its bound; else empty."""
    if metric.compare_to is None:
        if not sequential.exceeds_bound(seen.bad, seen.total, limit(metric)):
            return ""
        level = f"{100 * (1 - sequential.SEQUENTIAL_ALPHA):g} %"
        return (
            f"{metric.name}: {_of(seen.bad, seen.total)} of this step's requests {_failed(metric)}, "
            f"more than the limit of {100 * limit(metric):.3g} % with a certainty of {level}"
        )
    wealth, certainty = _read(seen.wealth), float(metric.certainty)
    if wealth is None or certainty >= 1:
        return ""
    won = sequential.mean_wealth(wealth)
    if won <= 0 or won < -log1p(-certainty):
        return ""
    return (
        f"{metric.name}: {_of(seen.bad, seen.total)} requests {_failed(metric)}, of stable's "
        f"{_of(seen.stable_bad, seen.stable_total)}: more than {100 * float(metric.tolerated):.3g} points "
        f"above stable with a certainty of {100 * certainty:g} %"
    )


def _failed(metric: Metric) -> str:
    if metric.type is MetricKind.ERROR_RATE:
        return "failed"
    return f"took longer than {metric.max}"


def _of(bad: int, total: int) -> str:
    return f"{bad} of {total} ({100 * bad / total:.3g} %)" if total else f"{bad} of {total}"
