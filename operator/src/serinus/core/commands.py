"""What people ask for by annotation: abort and promote. Each value is carried out once.

The value names the revision that is meant, so that a command that arrives late never hits another
one. What was dealt with is kept in the status until the annotation is gone.
"""

from __future__ import annotations

from serinus.api.status import Breach, ModelDeploymentStatus, Stage
from serinus.core import pauses
from serinus.core.facts import Change, Facts, normal, update, update_rollout, warning
from serinus.core.gates import ABORTED, latch
from serinus.core.plan import Event
from serinus.core.revision import describe, named, short
from serinus.core.traffic import is_final, step_after

BY_PEOPLE = "people asked for it"
FULL = "/full"


def forget(facts: Facts) -> ModelDeploymentStatus:
    """An annotation that is gone may come again: what was acknowledged of it is forgotten."""
    known, now = facts.status.acknowledged, facts.seen.commands
    kept = {
        "abort": known.abort if now.abort else "",
        "promote": known.promote if now.promote else "",
    }
    after = known.model_copy(update=kept)
    return facts.status if after == known else update(facts.status, acknowledged=after)


def abort(facts: Facts) -> Change | None:
    """The canary loses its traffic at once and is not tried again: people said so."""
    value, canary, rollout = facts.seen.commands.abort, facts.status.canary, facts.status.rollout
    if not value or value == facts.status.acknowledged.abort:
        return None
    if canary is None or rollout is None or not named(value, canary.revision):
        return _not_now(facts, "abort", value)
    done = _acknowledge(facts.status, abort=value)
    if rollout.breach is not None:
        return Change(done)  # it has failed already
    if (
        rollout.stage is Stage.ROLLING_BACK
    ):  # for another reason: after this one it is not to come back
        breach = Breach(reason=ABORTED, message=BY_PEOPLE, at=facts.now)
        token = facts.spec.rollout.retry_token
        return Change(update_rollout(done, breach=breach, retry_token=token))
    return latch(facts, done, ABORTED, BY_PEOPLE, (), guard=True)


def promote(facts: Facts) -> Change | None:
    """The step that runs is over: the next weight, or all of it, without waiting for the hold.

    Pods must be ready as ever, and a breach is never overridden.
    """
    value, canary, rollout = facts.seen.commands.promote, facts.status.canary, facts.status.rollout
    if not value or value == facts.status.acknowledged.promote:
        return None
    if canary is None or rollout is None or not named(value.removesuffix(FULL), canary.revision):
        return _not_now(facts, "promote", value)
    if rollout.stage is Stage.ROLLING_BACK or _stopped_by_a_breach(facts):
        text = f"{describe(canary)} was stopped by a breach: change the spec, or its retryToken"
        return Change(_acknowledge(facts.status, promote=value), (_ignored("promote", text),))
    if rollout.stage is Stage.PAUSED or rollout.breaches or pauses.held_back(facts) is not None:
        return None  # later: these come first
    full = value.endswith(FULL)
    final = len(facts.spec.rollout.steps)
    done = _acknowledge(facts.status, promote=value)
    text = f"people promote {describe(canary)}" + (" to 100 %" if full else " to the next step")
    told = (normal("PromotedByUser", text),)
    if rollout.stage is Stage.HOLDING:
        step = final if full else step_after(facts.spec, canary.requested_weight)
        fields = {"stage": Stage.SCALING, "step": step, "waiting_since": facts.now}
        return Change(update_rollout(done, forced=True, **fields), told)
    if rollout.stage is Stage.SCALING:
        step = final if full else rollout.step
        return Change(update_rollout(done, forced=True, step=step), told)
    if is_final(facts.spec, rollout.step):
        return Change(update_rollout(done, forced=True), told)
    return None  # once the router has confirmed the weight that is on its way


def _stopped_by_a_breach(facts: Facts) -> bool:
    rollout = facts.status.rollout
    if rollout is None or rollout.stage is not Stage.PAUSED:
        return False
    reason = rollout.pause_reasons[0].reason if rollout.pause_reasons else ""
    return rollout.breach is not None or reason not in {pauses.METRICS, pauses.DRIFT}


def _not_now(facts: Facts, command: str, value: str) -> Change | None:
    """The command names no canary: it waits for one that is about to come, or is of no use."""
    target, status = facts.target, facts.status
    if target is None and status.canary is None:
        return None  # what is about to come is not known yet
    if target is not None and named(value.removesuffix(FULL), target) and _comes(facts, target):
        return None
    text = f"{value!r} is not a revision that is rolling out"
    if status.canary is not None:
        text += f"; that is {short(status.canary.revision)}"
    done = _acknowledge(status, **{command: value})
    return Change(done, (_ignored(command, text),))


def _comes(facts: Facts, target: str) -> bool:
    """Whether a rollout of the target is about to start."""
    status = facts.status
    if status.stable is None or status.stable.requested_weight == 0:
        return False  # the first revision has no rollout
    failed = status.failed
    if failed is not None and (failed.revision, failed.retry_token) == (
        target,
        facts.spec.rollout.retry_token,
    ):
        return False
    return target != status.stable.revision


def _acknowledge(status: ModelDeploymentStatus, **values: str) -> ModelDeploymentStatus:
    return update(status, acknowledged=status.acknowledged.model_copy(update=values))


def _ignored(command: str, text: str) -> Event:
    return warning("CommandIgnored", f"serinus.dev/{command}: {text}")
