"""The life of a rollout: first revision, start, steps, promotion, the way back.

Each function is one transition: it looks at the facts and returns the change, or None when it is
not its turn. The order in which they are asked is the precedence of ``decide``.
"""

from __future__ import annotations

from datetime import timedelta

from serinus.api.spec import InsufficientPolicy
from serinus.api.status import (
    Failed,
    Outcome,
    Retiring,
    RolloutStatus,
    Stage,
)
from serinus.core import pauses
from serinus.core.facts import (
    Change,
    Facts,
    admission,
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
from serinus.core.gates import ABORTED
from serinus.core.plan import Event
from serinus.core.revision import describe, new_arm, short
from serinus.core.traffic import canary_replicas, is_final, step_after, step_at, step_weight


def first_revision(facts: Facts) -> Change | None:
    """Nothing serves yet: the target goes straight to 100 percent, without steps or analysis."""
    status, stable = facts.status, facts.status.stable
    if stable is not None and stable.requested_weight > 0:
        return None
    if stable is None or facts.target not in {None, stable.revision}:
        return _admit_first(facts)
    if facts.ready(stable) < 1:
        return None
    message = f"{describe(stable)} is ready and gets all traffic"
    return Change(update(status, stable=weigh(stable, 100)), (normal("Serving", message),))


def _admit_first(facts: Facts) -> Change | None:
    status, before = facts.status, facts.status.stable
    if status.target is None or facts.target is None:
        return None
    arm = new_arm(facts.spec, status.target, facts.seen.defaults.server_image)
    retiring = status.retiring
    if before is not None:
        retiring = retire(status, before, facts.now, timedelta(0))
    message = (
        f"{describe(arm)} of {facts.spec.model.uri} starts; it is the first, so it has no steps"
    )
    return Change(
        update(
            status,
            stable=arm,
            stable_since=facts.now,
            retiring=tuple(r for r in retiring if r.revision != arm.revision),
        ),
        (normal("Initializing", message),),
    )


def start(facts: Facts) -> Change | None:
    """The spec asks for another revision than stable, and nothing else is under way."""
    status, stable = facts.status, facts.status.stable
    if status.canary is not None or stable is None or stable.requested_weight == 0:
        return None
    if status.target is None or facts.target in {None, stable.revision}:
        return None
    token, failed = facts.spec.rollout.retry_token, status.failed
    if failed is not None and (failed.revision, failed.retry_token) == (facts.target, token):
        return None
    if pauses.held_back(facts) is not None:
        return None
    if short(facts.target) in {*facts.seen.workloads, *facts.seen.services}:
        return _make_way(facts)
    arm = new_arm(facts.spec, status.target, facts.seen.defaults.server_image)
    rollout = RolloutStatus(
        stage=Stage.SCALING,
        step=0,
        started_at=facts.now,
        waiting_since=facts.now,
        retry_token=token,
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


def _make_way(facts: Facts) -> Change | None:
    """Pods of an earlier try are still there. They may have another image and other histogram bounds
    than those of today: the revision waits until they have drained and gone, and starts with its own.
    Its Service too: a delete that is late on its way would find the very object that it was made for."""
    status, key = facts.status, short(facts.target or "")
    if any(short(r.revision) == key for r in status.retiring):
        return None
    at = facts.now + facts.spec.rollout.scale_down_delay
    going = Retiring(revision=facts.target or "", remove_at=at)
    return Change(update(status, retiring=(*status.retiring, going)))


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


def retry(facts: Facts) -> Change | None:
    """A breach waits for people (onBreach: Pause), and they say: try it again."""
    canary, rollout = facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage is not Stage.PAUSED:
        return None
    if rollout.breach is not None or rollout.retry_token == facts.spec.rollout.retry_token:
        return None
    if canary.requested_weight > 0 and stable_lost(facts):
        return None
    status = update(facts.status, canary=weigh(canary, 0))
    status = update_rollout(status, stage=Stage.ROLLING_BACK, waiting_since=facts.now)
    message = f"{describe(canary)} is tried again: the retry token has changed"
    return Change(status, (normal("Retried", message),))


def finish_rolling_back(facts: Facts) -> Change | None:
    """The router confirmed weight 0: the canary leaves, and the failure is kept."""
    status, canary, rollout = facts.status, facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage is not Stage.ROLLING_BACK:
        return None
    if facts.routed(canary) != 0:
        return None
    breach = rollout.breach
    outcome = Outcome.SUPERSEDED
    message = (
        "it was tried again"
        if facts.target == canary.revision
        else "the spec asked for another revision"
    )
    if breach is not None:
        outcome = Outcome.ABORTED if breach.reason == ABORTED else Outcome.ROLLED_BACK
        message = breach.message
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
            retry_token=rollout.retry_token,
        )
        stable = describe(status.stable) if status.stable else "stable"
        who = describe(canary)
        text = (
            f"{who} has no traffic any more, {stable} has all of it; "
            f"{who} is not tried again until the spec or its retryToken changes"
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
    workload = facts.seen.workloads.get(short(canary.revision))
    if workload is not None and workload.admitted not in {"", admission(rollout)}:
        return None  # pods of an earlier try, which a stale view had hidden: they are made anew
    weight = step_weight(facts.spec, rollout.step)
    if facts.ready(canary) < canary_replicas(facts.spec.server.replicas, weight):
        return None
    if not pauses.cleared(rollout) or pauses.held_back(facts) is not None:
        return None  # the evidence since the hold says no, or says nothing; or people say no
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
    if is_final(facts.spec, rollout.step) and canary.requested_weight == 100:
        waits = not pauses.cleared(rollout) or pauses.held_back(facts) is not None
        return None if waits else promote(facts)
    now = facts.now
    return Change(
        update_rollout(
            status,
            stage=Stage.HOLDING,
            step=step_at(facts.spec, canary.requested_weight),
            step_started_at=now,
            hold_started_at=now,
            slot_started_at=now,
            slot_checked_at=None,
            healthy_slots=0,
            step_breaches=0,
            # A bound is tested step by step, a comparison once for the whole rollout.
            evidence=tuple(e for e in rollout.evidence if e.wealth),
            evidence_until=None,
            step_requests=0,
            step_stable_requests=0,
            forced=False,
        )
    )


def next_step(facts: Facts) -> Change | None:
    """The hold has passed on healthy evidence: scale up for the next weight."""
    status, rollout, canary = facts.status, facts.status.rollout, facts.status.canary
    if (
        rollout is None
        or canary is None
        or not pauses.step_done(facts)
        or pauses.held_back(facts) is not None
    ):
        return None
    if pauses.needs_approval(facts):
        return None
    after = step_after(facts.spec, canary.requested_weight)
    return Change(update_rollout(status, stage=Stage.SCALING, step=after, waiting_since=facts.now))


def without_evidence(facts: Facts) -> Change | None:
    """``onInsufficient.do: Promote``: the requests do not come, the next step does."""
    status, rollout, canary = facts.status, facts.status.rollout, facts.status.canary
    if rollout is None or canary is None or not pauses.starved(facts):
        return None
    if facts.spec.analysis.on_insufficient.do is not InsufficientPolicy.PROMOTE:
        return None
    if rollout.breaches or rollout.forced or pauses.held_back(facts) is not None:
        return None
    fields: dict[str, object] = {"forced": True}
    if rollout.stage is Stage.HOLDING:
        if pauses.needs_approval(facts):
            return None
        step = step_after(facts.spec, canary.requested_weight)
        fields |= {"stage": Stage.SCALING, "step": step, "waiting_since": facts.now}
    message = (
        f"{describe(canary)} goes on without evidence (onInsufficient): {pauses.no_verdict(facts)}"
    )
    return Change(update_rollout(status, **fields), (warning("InsufficientData", message),))


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
