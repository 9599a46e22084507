"""The heart: one observation in, one plan out. Pure; it never raises for a domain outcome.

The checks below stand in the order of their precedence, which holds whatever the order of arrival:
delete, abort, breach, another revision, pause, promote, the next step.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from serinus.api import names
from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import Arm, ModelDeploymentStatus, PinnedModel, Retiring, Stage
from serinus.core import analysis, claims, clocks, commands, drift, gates, outage, pauses, steps
from serinus.core.conditions import Conditions, ConditionType
from serinus.core.facts import (
    Change,
    Facts,
    advance,
    update,
    update_rollout,
    warning,
    weigh,
)
from serinus.core.fence import renew, stamp
from serinus.core.intents import intents, way_back
from serinus.core.observed import RESOLVING, Invalid, Observed, ResolveFailed
from serinus.core.plan import EnsureRoute, Event, Plan
from serinus.core.report import report
from serinus.core.revision import describe, short
from serinus.core.size import fit
from serinus.core.traffic import hold_at, is_final, step_after

Check = Callable[[Facts], Change | None]

# The first check that changes the state ends the pass; the next pass looks at the world again.
CHECKS: tuple[Check, ...] = (
    steps.first_revision,
    gates.canary_alive,
    gates.unpause,
    steps.finish_rolling_back,
    gates.starved,
    steps.supersede,
    steps.retry,
    outage.retreat,
    outage.over,
    drift.retreat,
    drift.settled,
    steps.start,
    commands.promote,
    steps.hold,
    steps.shift,
    gates.deadline,
    steps.next_step,
    steps.without_evidence,
)

SOON = timedelta(0)
RESOLVING_AGAIN = timedelta(seconds=2)

NO_GATEWAY = (
    "spec.traffic.gateway is not set and the operator has no default Gateway: "
    "set one of them (SERINUS_DEFAULT_GATEWAY=namespace/name)"
)
STATUS_LOST = (
    "the route is ours and has weights, but the status says nothing of them: restore the status, "
    "or delete the HTTPRoute to start over with what the spec asks for"
)


def decide(seen: Observed, now: datetime) -> Plan:
    """What to do about one ModelDeployment.

    Args:
        seen: a fresh observation.
        now: the time of the observation, aware.
    """
    if seen.deleting:
        return Plan(status=None)  # everything we made is owned by the object: it goes with it
    if isinstance(seen.status, Invalid):
        return _cannot_read_status(seen, now)
    if 0 < seen.epoch < seen.status.epoch:
        return Plan(status=None, requeue_after=seen.defaults.resync)  # another one leads by now
    problem = _problem(seen, seen.status)
    if problem is not None or isinstance(seen.spec, Invalid):
        return _hold(seen, seen.status, now, problem or ("SpecInvalid", "the spec cannot be read"))
    facts = Facts(seen, seen.spec, _refresh(seen, seen.spec, seen.status, now), now)
    facts = replace(facts, status=commands.forget(facts))
    facts = replace(facts, status=clocks.settle(facts))
    facts, events, changed = _checked(facts)
    facts = replace(facts, status=pauses.mark(facts))
    facts = replace(facts, status=renew(seen.status, facts.status, seen.epoch))
    todo = intents(facts)
    if facts.status.claim != seen.status.claim:
        # On record first, then a look at who else is, then the route: the others do the same.
        todo, changed = tuple(i for i in todo if not isinstance(i, EnsureRoute)), True
    kept = drift.forget_unless_mended(seen, seen.status, facts.status, todo)
    status, told = report(replace(facts, status=kept))
    status = renew(seen.status, fit(status), seen.epoch)
    after = SOON if changed else _next_look(Facts(seen, seen.spec, status, now))
    return Plan(status, intents=todo, events=(*told, *events), requeue_after=after)


def _checked(facts: Facts) -> tuple[Facts, tuple[Event, ...], bool]:
    """The facts after at most one transition, what there is to tell, and whether there was one.

    People's abort outranks the evidence; the evidence is booked before anything else is looked at.
    """
    aborted = commands.abort(facts)
    if aborted is not None:
        return advance(facts, aborted), aborted.events, True
    events: tuple[Event, ...] = ()
    judged = gates.record(facts)
    if judged is not None:
        facts, events = advance(facts, judged), judged.events
    for check in CHECKS:
        change = check(facts)
        if change is not None:
            return advance(facts, change), (*events, *change.events), True
    return facts, events, False


def _problem(seen: Observed, status: ModelDeploymentStatus) -> tuple[str, str] | None:
    """What keeps the spec from being acted on, as (reason, message)."""
    if isinstance(seen.spec, Invalid):
        return "SpecInvalid", seen.spec.message
    if len(seen.name) > names.MAX_NAME_LENGTH or not re.match(names.NAME_PATTERN, seen.name):
        return "NameInvalid", names.NAME_RULE
    if seen.spec.traffic.gateway is None and seen.defaults.gateway is None:
        return "NoGateway", NO_GATEWAY
    if seen.rival:
        return "AddressTaken", f"{seen.rival}: use another host name or path"
    if status.stable is None and seen.route is not None and seen.route.weights:
        return "StatusLost", STATUS_LOST
    return None


def _refresh(
    seen: Observed, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, now: datetime
) -> ModelDeploymentStatus:
    """The status with what this observation says: the resolved model, weights, pods, leftovers."""
    # While a new URI is not resolved, what the last one stood for stays the target.
    target = seen.resolution if isinstance(seen.resolution, PinnedModel) else status.target
    claim = claims.wanted(spec, seen.namespace, seen.defaults.gateway, now)
    if (
        claim is not None
        and status.claim is not None
        and claims.same_addresses(claim, status.claim)
    ):
        claim = status.claim
    status = _on_course(spec, drift.note(seen, status, now, stamp(status)))
    return update(
        status,
        target=target,
        claim=claim,
        stable=_observed(seen, status.stable),
        canary=_observed(seen, status.canary),
        retiring=_retiring(seen, spec, status, now),
    )


def _on_course(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Steps may have changed since the next one was chosen; straight to 100 percent stays that."""
    rollout, canary = status.rollout, status.canary
    if rollout is None or canary is None or rollout.stage is not Stage.SCALING:
        return status
    if rollout.forced and is_final(spec, rollout.step):
        return status
    step = step_after(spec, canary.requested_weight)
    return status if step == rollout.step else update_rollout(status, step=step)


def _observed(seen: Observed, arm: Arm | None) -> Arm | None:
    if arm is None:
        return None
    key = short(arm.revision)
    route = seen.route
    weight = route.weights.get(key, 0) if route is not None and route.confirmed else None
    if route is None:
        weight = 0
    return arm.model_copy(update={"observed_weight": weight, "ready_replicas": seen.ready(key)})


def _retiring(
    seen: Observed, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, now: datetime
) -> tuple[Retiring, ...]:
    """Revisions on their way out: those that still exist, and leftovers that nothing accounts for."""
    present = set(seen.workloads) | set(seen.services)
    weights = seen.route.weights if seen.route is not None else {}
    later = now + spec.rollout.scale_down_delay
    # Somebody may have given it traffic once more: it drains anew.
    kept = tuple(
        r.model_copy(update={"remove_at": max(r.remove_at, later)})
        if weights.get(short(r.revision))
        else r
        for r in status.retiring
        if short(r.revision) in present
    )
    known = {short(r.revision) for r in kept}
    known |= {short(arm.revision) for arm in (status.stable, status.canary) if arm is not None}
    if status.stable is None:
        return kept  # the first pass: what is there may be what is about to be asked for
    delay = spec.rollout.scale_down_delay
    leftovers = tuple(
        Retiring(revision=f"unknown:{key}", remove_at=now + delay)
        for key in sorted(present - known)
    )
    return (*kept, *leftovers)


def _hold(
    seen: Observed, status: ModelDeploymentStatus, now: datetime, problem: tuple[str, str]
) -> Plan:
    """Nothing new can be decided. A canary cannot be judged either: its traffic goes back."""
    before = status
    marks = Conditions(status.conditions, seen.generation, now)
    marks.mark(ConditionType.READY, False, *problem)
    rollout, canary = status.rollout, status.canary
    events: tuple[Event, ...] = ()
    stable_ready = status.stable is not None and seen.ready(short(status.stable.revision)) > 0
    if canary is not None and rollout is not None and canary.requested_weight > 0 and stable_ready:
        status = update(status, canary=weigh(canary, 0))
        status = update_rollout(status, stage=Stage.ROLLING_BACK, waiting_since=now)
        text = f"{describe(canary)} loses its traffic: it cannot be judged while {problem[1]}"
        events = (warning("RollingBack", text),)
    status = update(status, conditions=marks.result(), observed_generation=seen.generation)
    status = renew(before, status, seen.epoch)
    todo = way_back(seen, status)
    return Plan(status, intents=todo, events=events, requeue_after=seen.defaults.resync)


def _cannot_read_status(seen: Observed, now: datetime) -> Plan:
    """Whatever is stored stays stored; a condition says what is wrong with it."""
    message = seen.status.message if isinstance(seen.status, Invalid) else ""
    marks = Conditions((), seen.generation, now)
    marks.mark(ConditionType.READY, False, "StatusInvalid", message)
    told = ModelDeploymentStatus(conditions=marks.result())
    return Plan(told, conditions_only=True, requeue_after=seen.defaults.resync)


def _next_look(facts: Facts) -> timedelta | None:
    """When time alone will change something: a boundary, a hold, a deadline, a removal."""
    status, rollout, spec, now = facts.status, facts.status.rollout, facts.spec, facts.now
    moments = [retiring.remove_at for retiring in status.retiring]
    resolution = facts.seen.resolution
    if isinstance(resolution, ResolveFailed) and resolution.reason == RESOLVING:
        moments.append(now + RESOLVING_AGAIN)
    if rollout is not None:
        check = analysis.next_check(spec, rollout, now)
        if check is not None:
            moments.append(check)
        if rollout.hold_started_at is not None and status.canary is not None:
            hold = hold_at(spec, status.canary.requested_weight)
            moments.append(rollout.hold_started_at + hold)
        moments.append(rollout.waiting_since + spec.rollout.progress_deadline)
        since = pauses.starved_since(rollout)
        if since is not None:
            moments.append(since + spec.analysis.on_insufficient.after)
    elif status.stable is not None and status.stable_since is not None:
        moments.append(status.stable_since + spec.rollout.progress_deadline)
    if status.drift is not None:
        moments += [status.drift.next_at, *(at + drift.WINDOW for at in status.drift.at)]
    ahead = [moment - now for moment in moments if moment > now]
    return min(ahead, default=None)
