"""The life of a rollout: first revision, start, steps, promotion, the way back.

Each function is one transition: it looks at the facts and returns the change, or None when it is
not its turn. The order in which they are asked is the precedence of ``decide``.
"""

from __future__ import annotations

from datetime import timedelta

from serinus.api.status import (
    Failed,
    Outcome,
    RolloutStatus,
    Stage,
    Verdict,
)
from serinus.core.analysis import judged_until
from serinus.core.facts import (
    Change,
    Facts,
    normal,
    remember,
    retire,
    stable_lost,
    update,
    update_rollout,
    warning,
    weigh,
    without,
)
from serinus.core.plan import Event
from serinus.core.revision import describe, new_arm
from serinus.core.traffic import canary_replicas, is_final, step_weight


def first_revision(facts: Facts) -> Change | None:
    """Nothing serves yet: the target goes straight to 100 percent, without steps or analysis."""
    status, stable = facts.status, facts.status.stable
    if status.target is None or (stable is not None and stable.requested_weight > 0):
        return None
    if stable is None or stable.revision != facts.target:
        arm = new_arm(facts.spec, status.target, facts.seen.defaults.server_image)
        retiring = status.retiring
        if stable is not None:
            retiring = retire(status, stable, facts.now, timedelta(0))
        retiring = tuple(r for r in retiring if r.revision != arm.revision)
        message = (
            f"{describe(arm)} of {facts.spec.model.uri} starts; it is the first, so it has no steps"
        )
        return Change(
            update(status, stable=arm, stable_since=facts.now, retiring=retiring),
            (normal("Initializing", message),),
        )
    if facts.ready(stable) < 1:
        return None
    message = f"{describe(stable)} is ready and gets all traffic"
    return Change(update(status, stable=weigh(stable, 100)), (normal("Serving", message),))


def start(facts: Facts) -> Change | None:
    """The spec asks for another revision than stable, and nothing else is under way."""
    status, stable = facts.status, facts.status.stable
    if status.canary is not None or stable is None or stable.requested_weight == 0:
        return None
    if status.target is None or facts.target in {None, stable.revision}:
        return None
    if status.failed is not None and status.failed.revision == facts.target:
        return None
    arm = new_arm(facts.spec, status.target, facts.seen.defaults.server_image)
    rollout = RolloutStatus(
        stage=Stage.SCALING, step=0, started_at=facts.now, waiting_since=facts.now
    )
    weights = " -> ".join(f"{step.weight} %" for step in facts.spec.rollout.steps)
    message = f"{describe(arm)} starts beside {describe(stable)}" + (
        f": {weights} -> 100 %" if weights else ""
    )
    return Change(
        update(
            status,
            canary=arm,
            rollout=rollout,
            failed=None,
            retiring=without(status.retiring, arm),
        ),
        (normal("RolloutStarted", message),),
    )


def supersede(facts: Facts) -> Change | None:
    """The spec no longer asks for the canary: its traffic goes back first, then comes the next."""
    status, canary, rollout = facts.status, facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage is Stage.ROLLING_BACK:
        return None
    if facts.target in {None, canary.revision}:
        return None
    if canary.requested_weight > 0 and stable_lost(facts):
        return None
    message = f"{describe(canary)} is given up because the spec asks for another revision"
    status = update(status, canary=weigh(canary, 0))
    status = update_rollout(status, stage=Stage.ROLLING_BACK, waiting_since=facts.now)
    return Change(status, (normal("Superseded", message),))


def finish_rolling_back(facts: Facts) -> Change | None:
    """The router confirmed weight 0: the canary leaves, and the failure is kept."""
    status, canary, rollout = facts.status, facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage is not Stage.ROLLING_BACK:
        return None
    if facts.routed(canary) != 0:
        return None
    breach = rollout.breach
    outcome = Outcome.ROLLED_BACK if breach else Outcome.SUPERSEDED
    message = breach.message if breach else "the spec asked for another revision"
    failed = status.failed
    events: tuple[Event, ...] = ()
    if breach is not None:
        failed = Failed(
            revision=canary.revision,
            model_uri=canary.model_uri,
            resolved_version=canary.resolved_version,
            reason=breach.reason,
            message=breach.message,
            at=breach.at,
            first_breach_at=rollout.first_breach_at,
            weight_zero_at=facts.now,
            verdicts=rollout.verdicts,
        )
        stable = describe(status.stable) if status.stable else "stable"
        who = describe(canary)
        text = (
            f"{who} has no traffic any more, {stable} has all of it; "
            f"{who} is not tried again until the spec changes"
        )
        events = (warning("RolledBack", text),)
    return Change(
        update(
            status,
            canary=None,
            rollout=None,
            failed=failed,
            retiring=retire(status, canary, facts.now, facts.spec.rollout.scale_down_delay),
            history=remember(status, canary, rollout, outcome, message, facts.now),
        ),
        events,
    )


def shift(facts: Facts) -> Change | None:
    """The pods for the step's weight are ready: write the weight."""
    status, canary, rollout = facts.status, facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage is not Stage.SCALING:
        return None
    weight = step_weight(facts.spec, rollout.step)
    if facts.ready(canary) < canary_replicas(facts.spec.server.replicas, weight):
        return None
    if not proven(rollout):
        return None  # the evidence since the hold says no, or says nothing
    status = update(status, canary=weigh(canary, weight))
    status = update_rollout(status, stage=Stage.SHIFTING, waiting_since=facts.now)
    total = len(facts.spec.rollout.steps)
    where = (
        "promotion" if is_final(facts.spec, rollout.step) else f"step {rollout.step + 1} of {total}"
    )
    message = f"{weight} % of the traffic goes to {describe(canary)} ({where})"
    return Change(status, (normal("WeightChanged", message),))


def hold(facts: Facts) -> Change | None:
    """The router confirmed the weight: the step's clock starts, or the canary is promoted."""
    status, canary, rollout = facts.status, facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage is not Stage.SHIFTING:
        return None
    if facts.routed(canary) != canary.requested_weight:
        return None
    if is_final(facts.spec, rollout.step):
        return promote(facts) if proven(rollout) else None
    now = facts.now
    return Change(
        update_rollout(
            status,
            stage=Stage.HOLDING,
            step_started_at=now,
            hold_started_at=now,
            slot_started_at=now,
            slot_checked_at=None,
            healthy_slots=0,
            step_breaches=0,
        )
    )


def proven(rollout: RolloutStatus) -> bool:
    """The latest verdict is Healthy; before the first step there is nothing to judge by."""
    if rollout.slot_started_at is None:
        return True
    return bool(rollout.verdicts) and rollout.verdicts[-1].verdict is Verdict.HEALTHY


def next_step(facts: Facts) -> Change | None:
    """The hold has passed on healthy evidence: scale up for the next weight."""
    status, rollout = facts.status, facts.status.rollout
    if rollout is None or rollout.stage is not Stage.HOLDING or rollout.hold_started_at is None:
        return None
    if is_final(facts.spec, rollout.step):  # steps were removed from the spec meanwhile
        after = rollout.step
    else:
        end = rollout.hold_started_at + facts.spec.rollout.steps[rollout.step].hold
        if facts.now < end or not judged_until(facts.spec, status, end):
            return None
        after = rollout.step + 1
    if rollout.healthy_slots < 1 or not proven(rollout):
        return None
    return Change(update_rollout(status, stage=Stage.SCALING, step=after, waiting_since=facts.now))


def promote(facts: Facts) -> Change:
    """In place: the canary's Deployment is stable's from now on. No pod restarts."""
    status, canary, rollout, stable = (
        facts.status, facts.status.canary, facts.status.rollout, facts.status.stable,
    )  # fmt: skip
    if canary is None or rollout is None or stable is None:
        raise ValueError("there is no canary to promote")
    message = f"{describe(canary)} is stable now; {describe(stable)} is removed after the delay"
    return Change(
        update(
            status,
            stable=canary,
            stable_since=facts.now,
            canary=None,
            rollout=None,
            retiring=retire(status, stable, facts.now, facts.spec.rollout.scale_down_delay),
            history=remember(
                status, canary, rollout, Outcome.PROMOTED, "every step was healthy", facts.now
            ),
        ),
        (normal("Promoted", message),),
    )
