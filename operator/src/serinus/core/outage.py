"""When no metric source answers: the canary waits two minutes, then gives its traffic back.

Nothing is held against it. When a source answers again it begins at the first step.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from serinus.api.status import PauseReason, RolloutStatus, Stage, Verdict
from serinus.core.analysis import MEASURED
from serinus.core.facts import Change, Facts, stable_lost, warning
from serinus.core.observed import Measurement, QueryFailed
from serinus.core.pauses import METRICS, clock_is_wrong, resume, stand_down
from serinus.core.revision import describe

PATIENCE = timedelta(seconds=120)


def long_gone(rollout: RolloutStatus, now: datetime) -> bool:
    """Whether the first source has been silent for so long that the second one is believed."""
    since = rollout.unavailable_since
    return since is not None and now - since >= PATIENCE


def retreat(facts: Facts) -> Change | None:
    """Neither source has answered for two minutes."""
    canary, rollout = facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage not in MEASURED:
        return None
    if facts.seen.measurement is None or not rollout.verdicts or stable_lost(facts):
        return None
    if not long_gone(rollout, facts.now) or clock_is_wrong(facts):
        return None
    latest = rollout.verdicts[-1]
    if latest.verdict is not Verdict.UNAVAILABLE:
        return None
    seconds = PATIENCE.total_seconds()
    message = f"no metrics for {seconds:.0f} s: {latest.message}"[:512]
    pause = PauseReason(reason=METRICS, message=message, since=facts.now)
    text = f"{message}; {describe(canary)} has no traffic until a metric source answers"
    return Change(stand_down(facts.status, pause), (warning(METRICS, text),))


def over(facts: Facts) -> Change | None:
    """A source answers again."""
    rollout, seen = facts.status.rollout, facts.seen.measurement
    if rollout is None or seen is None or not paused(rollout) or not _answers(seen):
        return None
    return resume(facts, "the metric source answers again")


def paused(rollout: RolloutStatus) -> bool:
    """Whether the rollout is frozen for want of metrics."""
    return (
        rollout.stage is Stage.PAUSED
        and bool(rollout.pause_reasons)
        and rollout.pause_reasons[0].reason == METRICS
    )


def _answers(seen: Measurement) -> bool:
    readings = (seen.canary, *(seen.backup or ())[:1])
    return any(not isinstance(reading, QueryFailed) for reading in readings)
