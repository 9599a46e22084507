"""Others write to what we own: it is set right again, but not in a race.

The first change is undone at once, the next ones ever later. Five in ten minutes are a conflict that
people must settle: a canary then gives its traffic back, and the object is set right twice a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from serinus.api.status import (
    MAX_DRIFTS,
    Drift,
    ModelDeploymentStatus,
    PauseReason,
    Stage,
)
from serinus.core.facts import Change, Facts, stable_lost, update, warning
from serinus.core.observed import Observed
from serinus.core.pauses import DRIFT, resume, stand_down
from serinus.core.plan import EnsureRoute, EnsureWorkload, Intent
from serinus.core.revision import describe, short

WINDOW = timedelta(minutes=10)
CONFLICT = 5  # changes within the window
DELAYS = tuple(timedelta(seconds=s) for s in (2, 5, 10, 20, 30))  # after the 1st, 2nd, ... change


def note(
    seen: Observed, status: ModelDeploymentStatus, now: datetime, fence: str
) -> ModelDeploymentStatus:
    """The status with this pass's drift in it, if there is some and its turn has come."""
    known = status.drift
    turn = known is None or not now < known.next_at <= now + DELAYS[-1]  # later: a wrong clock's
    if drifted(seen, fence) and turn:
        recent = tuple(at for at in (known.at if known else ()) if now - at < WINDOW)
        at = (*recent, now)[-MAX_DRIFTS:]
        delay = DELAYS[min(len(at), len(DELAYS)) - 1]
        return update(status, drift=Drift(at=at, next_at=now + delay))
    if known is not None and now - known.at[-1] >= WINDOW:
        return update(status, drift=None)
    return status


def forget_unless_mended(
    seen: Observed,
    before: ModelDeploymentStatus,
    after: ModelDeploymentStatus,
    todo: Sequence[Intent],
) -> ModelDeploymentStatus:
    """``after`` without this pass's drift when nothing is done about it now, for whatever reason:
    what is not written is not counted, else it would be counted for ever."""
    route = seen.route
    for intent in todo:
        if isinstance(intent, EnsureRoute) and route is not None and route.drifted:
            return after
        if isinstance(intent, EnsureWorkload):
            workload = seen.workloads.get(short(intent.arm.revision))
            if workload is not None and workload.drifted:
                return after
    newer = after.drift is not None and after.drift != before.drift
    return update(after, drift=before.drift) if newer else after


def drifted(seen: Observed, fence: str) -> bool:
    """Whether somebody else changed the route that we wrote last, or a Deployment."""
    route = seen.route
    on_route = route is not None and route.drifted and route.fence == fence
    return on_route or any(workload.drifted for workload in seen.workloads.values())


def waits(status: ModelDeploymentStatus, now: datetime) -> bool:
    """Whether what drifted is left as it is for the moment."""
    return status.drift is not None and status.drift.at[-1] != now


def conflict(status: ModelDeploymentStatus, now: datetime) -> bool:
    """Whether somebody keeps changing what is ours."""
    recent = [at for at in (status.drift.at if status.drift else ()) if now - at < WINDOW]
    return len(recent) >= CONFLICT


def retreat(facts: Facts) -> Change | None:
    """In a conflict nobody knows what the canary gets: its traffic goes back until it is over."""
    status, canary, rollout = facts.status, facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or not conflict(status, facts.now):
        return None
    if rollout.stage in {Stage.PAUSED, Stage.ROLLING_BACK} or stable_lost(facts):
        return None
    message = "somebody else keeps changing the route or the pods of this object"
    pause = PauseReason(reason=DRIFT, message=message, since=facts.now)
    text = f"{message}: {describe(canary)} has no traffic until that has stopped for ten minutes"
    return Change(stand_down(status, pause), (warning(DRIFT, text),))


def settled(facts: Facts) -> Change | None:
    """The conflict is over: the rollout begins again."""
    rollout = facts.status.rollout
    if rollout is None or rollout.stage is not Stage.PAUSED or conflict(facts.status, facts.now):
        return None
    if not rollout.pause_reasons or rollout.pause_reasons[0].reason != DRIFT:
        return None
    return resume(facts, "nobody else changes what is ours any more")
