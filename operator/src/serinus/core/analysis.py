"""Verdicts: is the canary, over one slot of evidence, within its bounds?

Slots begin where the last one ended and close at the first interval boundary at which the canary
has had enough requests; they never overlap, so that consecutive verdicts are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from serinus.api.spec import Analysis, Metric, MetricKind, ModelDeploymentSpec
from serinus.api.status import (
    MetricReading,
    ModelDeploymentStatus,
    RolloutStatus,
    SlotVerdict,
    Stage,
    Verdict,
)
from serinus.api.types import format_duration
from serinus.core.observed import Measurement, NoData, QueryFailed, Window
from serinus.core.samples import Counts, counts
from serinus.core.statistics import breaks_bound

# Hard guard: no waiting for more slots when half of so many requests fail.
GUARD_REQUESTS = 50
GUARD_SHARE = 0.5

# A boundary is judged a moment later, so that samples of before it have arrived at the source: one
# that came in between would end no slot and still be the next one's baseline.
INGESTION = timedelta(seconds=1)

MEASURED = frozenset({Stage.SCALING, Stage.SHIFTING, Stage.HOLDING})


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on one window, and whether it closes the slot or alarms at once."""

    verdict: SlotVerdict
    closes: bool
    guard: bool  # so bad that the failure threshold is not waited for


def due(spec: ModelDeploymentSpec, status: ModelDeploymentStatus, now: datetime) -> Window | None:
    """The window to measure now, up to the latest interval boundary; None: nothing to measure yet."""
    rollout = status.rollout
    if rollout is None or status.canary is None or rollout.stage not in MEASURED:
        return None
    if rollout.slot_started_at is None or rollout.step_started_at is None:
        return None
    interval = spec.analysis.interval
    passed = (now - _patience(interval) - rollout.slot_started_at) // interval
    end = rollout.slot_started_at + passed * interval
    if passed < 1 or (rollout.slot_checked_at is not None and end <= rollout.slot_checked_at):
        return None
    return Window(start=rollout.slot_started_at, end=end, floor=rollout.step_started_at)


def judged_until(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, moment: datetime
) -> bool:
    """Whether every interval boundary up to ``moment`` has been looked at."""
    return due(spec, status, moment + _patience(spec.analysis.interval)) is None


def next_check(spec: ModelDeploymentSpec, rollout: RolloutStatus) -> datetime | None:
    """When :func:`due` will next name a window."""
    if rollout.stage not in MEASURED or rollout.slot_started_at is None:
        return None
    interval = spec.analysis.interval
    return (rollout.slot_checked_at or rollout.slot_started_at) + interval + _patience(interval)


def _patience(interval: timedelta) -> timedelta:
    return min(INGESTION, interval / 4)


def judge(spec: Analysis, seen: Measurement, step: int, weight: int) -> Judgement:
    """The verdict on one measurement."""

    def slot(verdict: Verdict, message: str, **rest: object) -> SlotVerdict:
        return SlotVerdict.model_validate(
            {
                "at": seen.window.end,
                "step": step,
                "weight": weight,
                "verdict": verdict,
                "message": message[:512],
                **rest,
            }
        )

    if isinstance(seen.canary, QueryFailed):
        verdict = slot(Verdict.UNAVAILABLE, f"the metrics cannot be read: {seen.canary.message}")
        return Judgement(verdict, closes=False, guard=False)
    if isinstance(seen.canary, NoData):
        verdict = slot(Verdict.INSUFFICIENT, seen.canary.message)
        return Judgement(verdict, closes=False, guard=False)
    canary = counts(seen.canary, seen.window)
    stable = counts(seen.stable, seen.window) if isinstance(seen.stable, tuple) else None
    if canary is None:
        message = "no usable samples of the canary since the slot began"
        return Judgement(slot(Verdict.INSUFFICIENT, message), closes=False, guard=False)
    numbers = {
        "canary_requests": canary.requests,
        "stable_requests": stable.requests if stable else 0,
    }
    lately = counts(seen.canary, _last_interval(seen.window, spec.interval)) or canary
    guard = lately.requests >= GUARD_REQUESTS and lately.errors >= GUARD_SHARE * lately.requests
    if canary.requests < spec.min_requests and not guard:
        message = f"{canary.requests} of {spec.min_requests} requests so far"
        return Judgement(slot(Verdict.INSUFFICIENT, message, **numbers), closes=False, guard=False)
    readings = tuple(read(metric, canary, stable) for metric in spec.metrics)
    if guard:
        message = f"{lately.errors} of {lately.requests} requests failed"
        verdict = slot(Verdict.BREACH, message, metrics=readings, **numbers)
    else:
        verdict = slot(fold(readings), sentence(readings), metrics=readings, **numbers)
    return Judgement(verdict, closes=True, guard=guard)


def _last_interval(window: Window, interval: timedelta) -> Window:
    """The end of a slot that is longer than one interval: a long quiet past dilutes no disaster."""
    return Window(max(window.start, window.end - interval), window.end, window.floor)


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


def read(metric: Metric, canary: Counts, stable: Counts | None) -> MetricReading:
    """One metric of one slot, judged on the canary's counts alone; stable's are for people."""
    if metric.type is MetricKind.ERROR_RATE:
        limit = metric.max_ratio
        bad: int | None = canary.errors
        stable_bad = stable.errors if stable else None
        total, stable_total = canary.requests, stable.requests if stable else 0
    else:
        seconds = metric.max_duration.total_seconds()
        limit = 1 - metric.latency_quantile
        bad = canary.slower_than(seconds)
        stable_bad = stable.slower_than(seconds) if stable else None
        total = max(canary.buckets.values(), default=0)
        stable_total = max(stable.buckets.values(), default=0) if stable else 0
    if bad is None or not total:
        verdict = Verdict.INSUFFICIENT
    elif breaks_bound(bad, total, float(limit)):
        verdict = Verdict.BREACH
    else:
        verdict = Verdict.HEALTHY
    return MetricReading(
        name=metric.name,
        verdict=verdict,
        canary=_share(bad, total),
        stable=_share(stable_bad, stable_total),
        limit=f"{limit.normalize():f}",
        display=_display(metric, canary, stable, limit, bad),
    )


def _share(bad: int | None, total: int) -> str:
    return "" if bad is None or not total else f"{bad / total:.4f}"


def _display(
    metric: Metric, canary: Counts, stable: Counts | None, limit: Decimal, bad: int | None
) -> str:
    if metric.type is MetricKind.ERROR_RATE:
        value = _percent(canary.errors, canary.requests)
        other = _percent(stable.errors, stable.requests) if stable else "unknown"
        return f"{metric.name}: {value} (stable {other}, limit {100 * float(limit):.3g} %)"
    percentile = f"p{float(metric.latency_quantile) * 100:g}"
    if bad is None:
        return (
            f"{metric.name}: the pods have no histogram bucket at {metric.max}; "
            "they get it with the next revision"
        )
    value = _milliseconds(canary.quantile(float(metric.latency_quantile)))
    other = _milliseconds(stable.quantile(float(metric.latency_quantile))) if stable else "unknown"
    bound = format_duration(metric.max_duration)
    return f"{metric.name}: {percentile} {value} (stable {other}, limit {bound})"


def _percent(bad: int, total: int) -> str:
    return f"{100 * bad / total:.3g} %" if total else "unknown"


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
