"""One metric over one slot: its verdict, and the numbers and words that explain it."""

from __future__ import annotations

from dataclasses import dataclass

from serinus.api.spec import Metric, MetricKind
from serinus.api.status import Evidence, MetricReading, Verdict
from serinus.api.types import format_duration
from serinus.core.evidence import alarm, limit, one_look, tally
from serinus.core.samples import Counts
from serinus.core.sequential import Arms
from serinus.core.statistics import breaks_bound


@dataclass(frozen=True, slots=True)
class Slot:
    """What both arms counted in a slot.

    Attributes:
        stable: None where it could not be read.
        weight: the canary's, in percent; at 100 stable gets nothing, so there is nothing to compare with.
        compared: whether the sequential tests have heard of this slot's requests; where they have not,
            a comparison is judged on the slot alone.
        enough: requests of each arm, in the whole rollout, that make a comparison.
    """

    canary: Counts
    stable: Counts | None
    weight: int
    compared: bool
    enough: int


def read(metric: Metric, slot: Slot, seen: Evidence) -> MetricReading:
    """A bound is judged on the slot's counts of the canary, a comparison on all of the rollout's."""
    bad, total = tally(metric, slot.canary)
    stable_bad, stable_total = tally(metric, slot.stable) if slot.stable else (None, 0)
    compared = metric.compare_to is not None
    if bad is None or not total:
        verdict = Verdict.INSUFFICIENT
    elif compared:
        look = Arms(total, bad, stable_total, stable_bad) if stable_bad is not None else None
        verdict = _compared(metric, slot, seen, look)
    elif breaks_bound(bad, total, limit(metric)):
        verdict = Verdict.BREACH
    else:
        verdict = Verdict.HEALTHY
    bound = f"stable + {metric.tolerated}" if compared else f"{_bound(metric)}"
    return MetricReading(
        name=metric.name,
        verdict=verdict,
        canary=_share(bad, total),
        stable=_share(stable_bad, stable_total),
        limit=bound,
        display=_comparison(metric, slot) if compared else _display(metric, slot, bad),
    )


def _compared(metric: Metric, slot: Slot, seen: Evidence, look: Arms | None) -> Verdict:
    if not slot.compared and look is not None:
        seen = one_look(metric, seen, look)
    if alarm(metric, seen):
        return Verdict.BREACH
    if slot.weight >= 100:
        return Verdict.HEALTHY  # by the user's steps; the comparison of the steps before stands
    if look is None or not look.stable_total or min(seen.total, seen.stable_total) < slot.enough:
        return Verdict.INSUFFICIENT
    return Verdict.HEALTHY


def fold(readings: tuple[MetricReading, ...]) -> Verdict:
    """One breach is a breach; Healthy needs every metric healthy."""
    verdicts = {reading.verdict for reading in readings}
    if Verdict.BREACH in verdicts:
        return Verdict.BREACH
    return Verdict.HEALTHY if verdicts == {Verdict.HEALTHY} else Verdict.INSUFFICIENT


def sentence(readings: tuple[MetricReading, ...]) -> str:
    """The readings that decided, for people."""
    worst = fold(readings)
    return "; ".join(r.display for r in readings if r.verdict is worst)


def _bound(metric: Metric) -> str:
    exact = (
        metric.max_ratio if metric.type is MetricKind.ERROR_RATE else 1 - metric.latency_quantile
    )
    return f"{exact.normalize():f}"


def _share(bad: int | None, total: int) -> str:
    return "" if bad is None or not total else f"{bad / total:.4f}"


def _comparison(metric: Metric, slot: Slot) -> str:
    bad, total = tally(metric, slot.canary)
    stable_bad, stable_total = tally(metric, slot.stable) if slot.stable else (None, 0)
    if bad is None:
        return _no_bucket(metric)
    what = "" if metric.type is MetricKind.ERROR_RATE else f" slower than {metric.max}"
    other = f"stable {_percent(stable_bad, stable_total)}"
    if slot.weight >= 100:
        other = "stable gets no requests at this weight"
    points = f"{100 * float(metric.tolerated):.3g} points"
    return f"{metric.name}: {_percent(bad, total)}{what} ({other}, limit stable + {points})"


def _display(metric: Metric, slot: Slot, bad: int | None) -> str:
    canary, stable = slot.canary, slot.stable
    if metric.type is MetricKind.ERROR_RATE:
        value = _percent(canary.errors, canary.requests)
        other = _percent(stable.errors, stable.requests) if stable else "unknown"
        return f"{metric.name}: {value} (stable {other}, limit {100 * limit(metric):.3g} %)"
    percentile = f"p{float(metric.latency_quantile) * 100:g}"
    if bad is None:
        return _no_bucket(metric)
    value = _milliseconds(canary.quantile(float(metric.latency_quantile)))
    other = _milliseconds(stable.quantile(float(metric.latency_quantile))) if stable else "unknown"
    bound = format_duration(metric.max_duration)
    return f"{metric.name}: {percentile} {value} (stable {other}, limit {bound})"


def _no_bucket(metric: Metric) -> str:
    return (
        f"{metric.name}: the pods have no histogram bucket at {metric.max}; "
        "they get it with the next revision"
    )


def _percent(bad: int | None, total: int) -> str:
    return f"{100 * bad / total:.3g} %" if bad is not None and total else "unknown"


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
