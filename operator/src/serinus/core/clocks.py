"""When the operator's clock was wrong for a while: what it wrote then must not blind or hurry us now.

A time that lies ahead was written by a clock that ran ahead: taken as it is, nothing would be measured
until it has come. A hold that began or passed while the clock was known to be wrong proves nothing.
"""

from __future__ import annotations

from datetime import datetime

from serinus.api.status import ModelDeploymentStatus, RolloutStatus, Stage
from serinus.core.facts import Facts, update_rollout
from serinus.core.pauses import SKEWED, clock_is_wrong

# Not started_at: it names this admission of the revision on its Deployment.
_PAST = (
    "waiting_since", "step_started_at", "hold_started_at", "slot_started_at",
    "slot_checked_at", "unavailable_since",
)  # fmt: skip


def settle(facts: Facts) -> ModelDeploymentStatus:
    """The status with no time of the rollout's ahead of now, and its hold anew after a wrong clock."""
    status, rollout, now = facts.status, facts.status.rollout, facts.now
    if rollout is None:
        return status
    ahead = {name: now for name in _PAST if _ahead(rollout, name, now)}
    if ahead:
        # Counted from the beginning of the slot again: nothing is lost, and nothing counts twice.
        status = update_rollout(status, **{**ahead, "slot_checked_at": None})
    was_wrong = any(reason.reason == SKEWED for reason in rollout.pause_reasons)
    if was_wrong and not clock_is_wrong(facts) and rollout.stage is Stage.HOLDING:
        anew = {"hold_started_at": now, "slot_started_at": now, "slot_checked_at": None}
        status = update_rollout(status, healthy_slots=0, **anew)
    return status


def _ahead(rollout: RolloutStatus, name: str, now: datetime) -> bool:
    moment = getattr(rollout, name)
    return moment is not None and moment > now
