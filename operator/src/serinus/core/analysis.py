"""Verdicts: is the canary, over one slot of evidence, within its bounds?

Slots begin where the last one ended and close at the first interval boundary at which the canary
has had enough requests; they never overlap, so that consecutive verdicts are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from serinus.api.spec import Analysis, ModelDeploymentSpec
from serinus.api.status import ModelDeploymentStatus, RolloutStatus, SlotVerdict, Stage, Verdict
from serinus.core.evidence import Booked, alarm, book, opened
from serinus.core.observed import Measurement, NoData, QueryFailed, Series, Window
from serinus.core.readings import Slot, fold, read, sentence
from serinus.core.samples import Counts, counts, freshness, newest
from serinus.core.share import mismatch

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
    sequential: str  # what a sequential test of this step or rollout is certain of, or empty
    booked: Booked  # the sequential tests' evidence after this look


def due(spec: ModelDeploymentSpec, status: ModelDeploymentStatus, now: datetime) -> Window | None:
    """The window to measure now, up to the latest interval boundary; None: nothing to measure yet."""
    rollout = status.rollout
    if rollout is None or status.canary is None:
        return None
    if rollout.stage is Stage.PAUSED and rollout.unavailable_since is not None:
        return _probe(spec, now)
    if rollout.stage not in MEASURED:
        return None
    if rollout.slot_started_at is None or rollout.step_started_at is None:
        return None
    checked = rollout.slot_checked_at
    return _boundary(spec, rollout, now, None if checked is None or checked > now else checked)


def _boundary(
    spec: ModelDeploymentSpec, rollout: RolloutStatus, now: datetime, checked: datetime | None
) -> Window | None:
    """The slot up to its latest boundary; None when that was looked at, or none has passed."""
    start, floor = rollout.slot_started_at, rollout.step_started_at
    if start is None or floor is None:
        return None
    interval = spec.analysis.interval
    end = start + (now - _patience(interval) - start) // interval * interval
    if end <= start or (checked is not None and end <= checked):
        return None
    return Window(start=start, end=end, floor=floor)


def _probe(spec: ModelDeploymentSpec, now: datetime) -> Window:
    """Nothing is judged: it is only asked whether the source answers again."""
    start = now - spec.analysis.interval
    return Window(start=start, end=now, floor=start)


def judged_until(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, moment: datetime
) -> bool:
    """Whether every interval boundary up to ``moment`` has been looked at."""
    rollout = status.rollout
    if rollout is None or rollout.stage not in MEASURED:
        return True
    late = moment + _patience(spec.analysis.interval)
    return _boundary(spec, rollout, late, rollout.slot_checked_at) is None


def next_check(spec: ModelDeploymentSpec, rollout: RolloutStatus, now: datetime) -> datetime | None:
    """When :func:`due` will name a later window than it does now."""
    if rollout.stage not in MEASURED or rollout.slot_started_at is None:
        return None
    interval, patience = spec.analysis.interval, _patience(spec.analysis.interval)
    passed = (now - patience - rollout.slot_started_at) // interval
    return rollout.slot_started_at + (max(passed, 0) + 1) * interval + patience


def _patience(interval: timedelta) -> timedelta:
    return min(INGESTION, interval / 4)


def judge(
    spec: Analysis,
    seen: Measurement,
    rollout: RolloutStatus,
    weight: int,
    *,
    use_backup: bool = False,
) -> Judgement:
    """The verdict on one measurement of a canary with this weight, in percent.

    ``use_backup``: where the source cannot be reached, what the pods said themselves is judged.
    """
    canary, stable, before = seen.canary, seen.stable, opened(spec, rollout)
    backed = use_backup and isinstance(canary, QueryFailed) and seen.backup is not None
    if backed and seen.backup is not None:
        canary, stable = seen.backup
    told = _Told(seen.window.end, rollout.step, weight, "scraped from the pods: " if backed else "")
    if isinstance(canary, QueryFailed):
        message = f"the metrics cannot be read: {canary.message}"
        return told.open(Verdict.UNAVAILABLE, message, before)
    if isinstance(canary, NoData):
        return told.open(Verdict.INSUFFICIENT, canary.message, before)
    found = counts(canary, seen.window)
    if found is None:
        message = "no usable samples of the canary since the slot began"
        return told.open(Verdict.INSUFFICIENT, message, before)
    if old := _stale(canary, seen.window, spec.interval):
        return told.open(Verdict.INSUFFICIENT, old, before)
    usable = isinstance(stable, tuple) and not _stale(stable, seen.window, spec.interval)
    other = stable if isinstance(stable, tuple) and usable else None
    # Two sources' samples are of different moments: the sequential tests hear of one source only.
    booked = before if backed else book(spec, rollout, canary, other, seen.window)
    slot = Slot(
        canary=found,
        stable=counts(other, seen.window) if other is not None else None,
        weight=weight,
        compared=not backed,
        enough=spec.min_requests,
    )
    lately = counts(canary, _last_interval(seen.window, spec.interval)) or found
    split = "" if rollout.stage is Stage.SHIFTING else _split(weight, booked)
    return _weigh_up(spec, told, slot, lately, booked, split)


def _weigh_up(
    spec: Analysis, told: _Told, slot: Slot, lately: Counts, booked: Booked, split: str
) -> Judgement:
    """From counts to a verdict: disasters first, then what is certain, then the slot."""
    canary = slot.canary
    numbers = {
        "canary_requests": canary.requests,
        "stable_requests": slot.stable.requests if slot.stable else 0,
    }
    alarms = [(m, text) for m in spec.metrics if (text := alarm(m, booked.of(m)))]
    certain = "; ".join(text for _, text in alarms)
    guard = lately.requests >= GUARD_REQUESTS and lately.errors >= GUARD_SHARE * lately.requests
    full = canary.requests >= spec.min_requests
    judged = spec.metrics if full or guard else tuple(metric for metric, _ in alarms)
    readings = tuple(read(metric, slot, booked.of(metric)) for metric in judged)
    if guard or certain:
        message = certain
        if guard:
            message = f"{lately.errors} of {lately.requests} requests failed"
        elif full and fold(readings) is Verdict.BREACH:
            message = sentence(readings)  # says the same of the slot, with stable's numbers
        verdict = told.slot(Verdict.BREACH, message, metrics=readings, **numbers)
        return Judgement(verdict, closes=True, guard=guard, sequential=certain, booked=booked)
    if not full:
        message = f"{canary.requests} of {spec.min_requests} requests so far"
        return told.open(Verdict.INSUFFICIENT, message, booked, **numbers)
    found, message = fold(readings), sentence(readings)
    if found is Verdict.HEALTHY and split:
        found, message = Verdict.INSUFFICIENT, split
    if found is Verdict.INSUFFICIENT:
        return told.open(found, message, booked, metrics=readings, **numbers)
    verdict = told.slot(found, message, metrics=readings, **numbers)
    return Judgement(verdict, closes=True, guard=False, sequential="", booked=booked)


@dataclass(frozen=True, slots=True)
class _Told:
    """What every verdict on a measurement says."""

    at: datetime
    step: int
    weight: int
    source: str

    def slot(self, verdict: Verdict, message: str, **rest: object) -> SlotVerdict:
        return SlotVerdict.model_validate(
            {
                "at": self.at,
                "step": self.step,
                "weight": self.weight,
                "verdict": verdict,
                "message": f"{self.source}{message}"[:512],
                **rest,
            }
        )

    def open(self, verdict: Verdict, message: str, booked: Booked, **rest: object) -> Judgement:
        """A verdict that leaves the slot open: what is missing may still come."""
        slot = self.slot(verdict, message, **rest)
        return Judgement(slot, closes=False, guard=False, sequential="", booked=booked)


def _split(weight: int, booked: Booked) -> str:
    return mismatch(weight, booked.step_requests, booked.step_stable_requests)


def _stale(series: tuple[Series, ...], window: Window, interval: timedelta) -> str:
    """Why the samples say nothing about now; empty: they are fresh."""
    latest = newest(series, window)
    if latest is None:
        return "there is no sample"
    age = window.end - latest
    if age <= freshness(interval):
        return ""
    return f"the latest sample is {age.total_seconds():.0f} s old"


def _last_interval(window: Window, interval: timedelta) -> Window:
    """The end of a slot that is longer than one interval: a long quiet past dilutes no disaster."""
    return Window(max(window.start, window.end - interval), window.end, window.floor)
