"""When the operator's clock was wrong for a while: what a hold has shown meanwhile proves nothing."""

from __future__ import annotations

from serinus.api.status import ModelDeploymentStatus, Stage
from serinus.core.facts import Facts, update_rollout
from serinus.core.pauses import SKEWED, clock_is_wrong


def settle(facts: Facts) -> ModelDeploymentStatus:
    """The status with its hold begun anew, where the clock was known to be wrong and is right again."""
    rollout, now = facts.status.rollout, facts.now
    if rollout is None or rollout.stage is not Stage.HOLDING or clock_is_wrong(facts):
        return facts.status
    if not any(reason.reason == SKEWED for reason in rollout.pause_reasons):
        return facts.status
    return update_rollout(
        facts.status,
        hold_started_at=now,
        slot_started_at=now,
        slot_checked_at=None,
        healthy_slots=0,
    )
