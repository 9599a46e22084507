"""The heart: one observation in, one plan out. Pure; it never raises for a domain outcome.

The checks below stand in the order of their precedence, which holds whatever the order of arrival:
delete, then breach, then another revision, then the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from serinus.api import names
from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import Arm, ModelDeploymentStatus, PinnedModel, Retiring
from serinus.core import analysis, gates, steps
from serinus.core.conditions import Conditions, ConditionType
from serinus.core.facts import Change, Facts, advance, update
from serinus.core.intents import intents
from serinus.core.observed import Invalid, Observed
from serinus.core.plan import Event, Plan
from serinus.core.report import report
from serinus.core.revision import short

Check = Callable[[Facts], Change | None]

# The first check that changes the state ends the pass; the next pass looks at the world again.
CHECKS: tuple[Check, ...] = (
    steps.first_revision,
    gates.canary_alive,
    gates.deadline,
    gates.unpause,
    steps.finish_rolling_back,
    steps.supersede,
    steps.start,
    steps.hold,
    steps.next_step,
    steps.shift,
)

SOON = timedelta(0)


def decide(seen: Observed, now: datetime) -> Plan:
    """What to do about one ModelDeployment.

    Args:
        seen: a fresh observation.
        now: the time of the observation, aware.
    """
    if seen.deleting:
        return Plan(status=None)  # everything we made is owned by the object: it goes with it
    if isinstance(seen.status, Invalid):
        return _hold_with(ModelDeploymentStatus(), seen, now, "StatusInvalid", seen.status.message)
    if isinstance(seen.spec, Invalid):
        return _hold_with(seen.status, seen, now, "SpecInvalid", seen.spec.message)
    facts = Facts(seen, seen.spec, _refresh(seen, seen.spec, seen.status, now), now)
    events: tuple[Event, ...]
    problem = _problem(facts)
    if problem is not None:
        status, events = report(facts, problem)
        return Plan(status, events=events, requeue_after=seen.defaults.resync)
    changed = False
    events = ()
    if not gates.stable_lost(facts):
        judged = gates.record(facts)
        if judged is not None:
            facts, events = advance(facts, judged), judged.events
        for check in CHECKS:
            change = check(facts)
            if change is not None:
                facts, events, changed = advance(facts, change), (*events, *change.events), True
                break
    todo = intents(facts)
    status, told = report(facts)
    after = SOON if changed else _next_look(Facts(seen, seen.spec, status, now))
    return Plan(status, todo, (*events, *told), after)


def _problem(facts: Facts) -> tuple[str, str] | None:
    """What keeps every write from being made, as (reason, message)."""
    if len(facts.seen.name) > names.MAX_NAME_LENGTH:
        return "NameTooLong", f"metadata.name must have at most {names.MAX_NAME_LENGTH} characters"
    if facts.spec.traffic.gateway is None and facts.seen.defaults.gateway is None:
        return (
            "NoGateway",
            (
                "spec.traffic.gateway is not set and the operator has no default Gateway: "
                "set one of them (SERINUS_DEFAULT_GATEWAY=namespace/name)"
            ),
        )
    return None


def _refresh(
    seen: Observed, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, now: datetime
) -> ModelDeploymentStatus:
    """The status with what this observation says: the resolved model, weights, pods, leftovers."""
    # While a new URI is not resolved, what the last one stood for stays the target.
    target = seen.resolution if isinstance(seen.resolution, PinnedModel) else status.target
    return update(
        status,
        target=target,
        stable=_observed(seen, status.stable),
        canary=_observed(seen, status.canary),
        retiring=_retiring(seen, spec, status, now),
    )


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
    kept = tuple(r for r in status.retiring if short(r.revision) in present)
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


def _hold_with(
    status: ModelDeploymentStatus, seen: Observed, now: datetime, reason: str, message: str
) -> Plan:
    """Nothing can be decided: the world stays as it is, and a condition says why."""
    marks = Conditions(status.conditions, seen.generation, now)
    marks.mark(ConditionType.READY, False, reason, message)
    told = update(status, conditions=marks.result(), observed_generation=seen.generation)
    return Plan(told, requeue_after=seen.defaults.resync)


def _next_look(facts: Facts) -> timedelta | None:
    """When time alone will change something: a boundary, a hold, a deadline, a removal."""
    status, rollout, spec, now = facts.status, facts.status.rollout, facts.spec, facts.now
    moments = [retiring.remove_at for retiring in status.retiring]
    if rollout is not None:
        check = analysis.next_check(spec, rollout)
        if check is not None:
            moments.append(check)
        if rollout.hold_started_at is not None and rollout.step < len(spec.rollout.steps):
            moments.append(rollout.hold_started_at + spec.rollout.steps[rollout.step].hold)
        moments.append(rollout.waiting_since + spec.rollout.progress_deadline)
    elif status.stable is not None and status.stable_since is not None:
        moments.append(status.stable_since + spec.rollout.progress_deadline)
    ahead = [moment - now for moment in moments if moment > now]
    return min(ahead, default=None)
