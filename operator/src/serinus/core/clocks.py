"""When the operator's clock was wrong for a while: nobody is blinded by it, and nothing is hurried.

Times that lie ahead were written by a clock that ran ahead. Most of them only make us patient, and stay.
A slot that begins in the future would be measured by nobody until then: it begins now instead.
"""

from __future__ import annotations

from datetime import datetime

from serinus.api.status import ModelDeploymentStatus, RolloutStatus, Stage
from serinus.core.facts import Facts, update_rollout
from serinus.core.pauses import SKEWED, clock_is_wrong


def settle(facts: Facts) -> ModelDeploymentStatus:
    """The status with no slot that begins ahead of now, and with its hold begun anew where the clock
    was known to be wrong and is right again: what a hold has shown meanwhile proves nothing."""
    rollout, now = facts.status.rollout, facts.now
    if rollout is None:
        return facts.status
    fields = _slot_of_now(rollout, now)
    was_wrong = any(reason.reason == SKEWED for reason in rollout.pause_reasons)
    if was_wrong and rollout.stage is Stage.HOLDING and not clock_is_wrong(facts):
        fields = {"hold_started_at": now, "slot_started_at": now, "slot_checked_at": None}
        fields["healthy_slots"] = 0
    return update_rollout(facts.status, **fields) if fields else facts.status


def _slot_of_now(rollout: RolloutStatus, now: datetime) -> dict[str, object]:
    slot, step = rollout.slot_started_at, rollout.step_started_at
    if slot is None or step is None or slot <= now:
        return {}
    return {"slot_started_at": now, "slot_checked_at": None, "step_started_at": min(step, now)}
