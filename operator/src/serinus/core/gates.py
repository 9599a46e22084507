"""What stops or turns back a rollout: breaches, hard guards, deadlines, an unhealthy stable."""

from __future__ import annotations

from serinus.api.spec import InsufficientPolicy, OnBreach
from serinus.api.status import (
    MAX_VERDICTS,
    Breach,
    ModelDeploymentStatus,
    RolloutStatus,
    SlotVerdict,
    Stage,
    Verdict,
)
from serinus.core import drift, outage, pauses
from serinus.core.analysis import MEASURED, Judgement, due, judge
from serinus.core.facts import (
    Change,
    Facts,
    stable_lost,
    update,
    update_rollout,
    warning,
    weigh,
)
from serinus.core.fence import stamp
from serinus.core.observed import QueryFailed, Workload
from serinus.core.plan import Event
from serinus.core.revision import describe, short
from serinus.core.traffic import canary_replicas, step_at, step_weight

BREACHED = "MetricsBreached"
GUARDED = "CanaryFailing"
UNREADY = "CanaryNotReady"
DEADLINE = "ProgressDeadlineExceeded"
UNCONFIRMED = "RouteNotConfirmed"
ABORTED = "Aborted"

STOOD_DOWN = frozenset({pauses.METRICS, pauses.DRIFT})


def record(facts: Facts) -> Change | None:
    """Books the verdict on a measurement; latches a breach when there are enough of them."""
    status, rollout, canary = facts.status, facts.status.rollout, facts.status.canary
    seen = facts.seen.measurement
    if rollout is None or canary is None or seen is None or rollout.stage not in MEASURED:
        return None
    window = due(facts.spec, facts.status, facts.now)
    if window is None or window.start != seen.window.start:
        return None  # measured for a slot that has ended
    trust_pods = outage.long_gone(rollout, facts.now)
    judgement = judge(
        facts.spec.analysis, seen, rollout, canary.requested_weight, use_backup=trust_pods
    )
    booked = _book(rollout, judgement, facts)
    silent = isinstance(seen.canary, QueryFailed)
    since = (rollout.unavailable_since or facts.now) if silent else None
    status = update_rollout(update(status, rollout=booked), unavailable_since=since)
    status = _with_split(facts, status)
    verdict = judgement.verdict
    if verdict.verdict is not Verdict.BREACH:
        return Change(status)
    threshold = facts.spec.analysis.failure_threshold
    count = f"{booked.breaches} of {threshold}"
    events = (warning("SlotBreached", f"{describe(canary)}, breach {count}: {verdict.message}"),)
    too_many = booked.breaches >= threshold or booked.step_breaches >= 2 * threshold
    if judgement.guard:
        return latch(facts, status, GUARDED, verdict.message, events, guard=True)
    if judgement.sequential:
        lately = "; ".join(reading.display for reading in verdict.metrics)
        message = f"{judgement.sequential}; in the latest slot {lately}"
        return latch(facts, status, BREACHED, message, events)
    if too_many:
        message = f"{booked.breaches} breached slots in a row; the last: {verdict.message}"
        return latch(facts, status, BREACHED, message, events)
    return Change(_back_to_hold(status, facts), events)


def _with_split(facts: Facts, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Requests tell how the router splits only while it could split as asked: stable had pods, and the
    route was as we wrote it. What was counted before that is over is thrown away."""
    canary, stable, rollout = status.canary, status.stable, status.rollout
    if canary is None or stable is None or rollout is None:
        return status
    could = facts.ready(stable) > 0 and facts.routed(canary) == canary.requested_weight
    could = could and not drift.drifted(facts.seen, stamp(status))
    if could and not rollout.split_disturbed:
        return status
    return update_rollout(
        status, split_disturbed=not could, step_requests=0, step_stable_requests=0
    )


def _back_to_hold(status: ModelDeploymentStatus, facts: Facts) -> ModelDeploymentStatus:
    """A breach while the next step's pods start: the step before is not done after all."""
    rollout, canary = status.rollout, status.canary
    if rollout is None or canary is None or rollout.stage is not Stage.SCALING:
        return status
    return update_rollout(
        status,
        stage=Stage.HOLDING,
        step=step_at(facts.spec, canary.requested_weight),
        hold_started_at=facts.now,
        forced=False,
    )


def _book(rollout: RolloutStatus, judgement: Judgement, facts: Facts) -> RolloutStatus:
    verdict = judgement.verdict
    if not judgement.closes and _says_nothing_new(rollout, judgement):
        return rollout  # but for the time: where no requests come, nothing is written
    fields: dict[str, object] = {
        "verdicts": _append(rollout, verdict),
        "slot_checked_at": verdict.at,
        **judgement.booked.update(),
    }
    if judgement.closes:
        fields["slot_started_at"] = verdict.at
    if verdict.verdict is Verdict.HEALTHY:
        fields |= {
            "breaches": 0,
            "healthy_slots": rollout.healthy_slots + 1,
            "first_breach_at": None,
        }
    elif verdict.verdict is Verdict.BREACH:
        fields |= {
            "breaches": rollout.breaches + 1,
            "step_breaches": rollout.step_breaches + 1,
            "healthy_slots": 0,
            "hold_started_at": facts.now if rollout.hold_started_at else None,
            "first_breach_at": rollout.first_breach_at or verdict.at,
        }
    return rollout.model_copy(update=fields)


def _says_nothing_new(rollout: RolloutStatus, judgement: Judgement) -> bool:
    booked = judgement.booked
    counted = (booked.evidence, booked.step_requests, booked.step_stable_requests)
    if counted != (rollout.evidence, rollout.step_requests, rollout.step_stable_requests):
        return False
    latest = rollout.verdicts[-1] if rollout.verdicts else None
    return latest is not None and latest == judgement.verdict.model_copy(update={"at": latest.at})


def _append(rollout: RolloutStatus, verdict: SlotVerdict) -> tuple[SlotVerdict, ...]:
    """The last verdicts; one that left its slot open gives way to the next on the same slot."""
    kept = tuple(rollout.verdicts)
    open_slot = {Verdict.INSUFFICIENT, Verdict.UNAVAILABLE}
    if kept and kept[-1].verdict in open_slot and kept[-1].step == verdict.step:
        kept = kept[:-1]
    return (*kept, verdict)[-MAX_VERDICTS:]


def canary_alive(facts: Facts) -> Change | None:
    """Hard guard: a canary with traffic has at least one ready pod."""
    canary, rollout = facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or canary.requested_weight == 0:
        return None
    if rollout.stage is Stage.ROLLING_BACK or facts.ready(canary) > 0:
        return None
    if rollout.stage is Stage.PAUSED and stable_lost(facts):
        return None  # neither can answer: there is nowhere to move the traffic to
    message = f"no pod of {describe(canary)} is ready{_why(facts, canary.revision)}"
    return latch(facts, facts.status, UNREADY, message, (), guard=True)


def deadline(facts: Facts) -> Change | None:
    """Pods that never get ready, or a weight that the router never takes, fail the revision."""
    canary, rollout = facts.status.canary, facts.status.rollout
    if canary is None or rollout is None or rollout.stage not in {Stage.SCALING, Stage.SHIFTING}:
        return None
    if facts.now - rollout.waiting_since < facts.spec.rollout.progress_deadline:
        return None
    if pauses.clock_is_wrong(facts):
        return None  # nobody fails because our clock has jumped
    shifting = rollout.stage is Stage.SHIFTING
    if (_route_is_taken if shifting else _pods_are_ready)(facts):
        return None  # it is evidence that is awaited, and missing evidence fails nobody
    if not (_route_is_written if shifting else _pods_are_asked_for)(facts):
        # Nobody was there to do it, or the API server refused: the wait begins when it is done.
        return Change(update_rollout(facts.status, waiting_since=facts.now))
    if shifting:
        problem = facts.seen.route.problem if facts.seen.route else "there is no route"
        message = f"the router did not confirm the weight of {describe(canary)} in time: {problem}"
        return latch(facts, facts.status, UNCONFIRMED, message, ())
    message = f"{describe(canary)} was not ready in time{_why(facts, canary.revision)}"
    return latch(facts, facts.status, DEADLINE, message, ())


def _route_is_taken(facts: Facts) -> bool:
    canary = facts.status.canary
    return canary is not None and facts.routed(canary) == canary.requested_weight


def _route_is_written(facts: Facts) -> bool:
    route, canary = facts.seen.route, facts.status.canary
    if route is None or canary is None or route.fence != stamp(facts.status):
        return False
    return route.weights.get(short(canary.revision)) == canary.requested_weight


def _pods_are_ready(facts: Facts) -> bool:
    canary = facts.status.canary
    return canary is not None and facts.ready(canary) >= _wanted(facts)


def _pods_are_asked_for(facts: Facts) -> bool:
    canary = facts.status.canary
    workload = facts.seen.workloads.get(short(canary.revision)) if canary is not None else None
    return workload is not None and workload.desired >= _wanted(facts)


def _wanted(facts: Facts) -> int:
    """Pods that the canary needs for the weight of its step."""
    step = facts.status.rollout.step if facts.status.rollout is not None else 0
    return canary_replicas(facts.spec.server.replicas, step_weight(facts.spec, step))


def latch(
    facts: Facts,
    status: ModelDeploymentStatus,
    reason: str,
    message: str,
    events: tuple[Event, ...],
    *,
    guard: bool = False,
) -> Change:
    """The breach is a fact from here on: weight 0 is asked for at once, or people are (onBreach).

    ``guard``: a canary that fails outright loses its weight whatever ``onBreach`` says. No traffic is
    moved to a stable without ready pods: the breach is kept, and carried out when it has one.
    """
    canary, rollout = status.canary, status.rollout
    if canary is None or rollout is None:
        raise ValueError("there is no canary to stop")
    now, weight = facts.now, canary.requested_weight
    if facts.spec.rollout.on_breach is OnBreach.PAUSE and not guard:
        text = (
            f"{message}. The weight stays at {weight} %: "
            "change the spec or its rollout.retryToken, or set rollout.onBreach to Rollback"
        )
        token = facts.spec.rollout.retry_token
        paused = pauses.freeze(status, reason, message, now, token)
        return Change(paused, (*events, warning("Paused", text)))
    breach = rollout.breach or Breach(reason=reason, message=message[:512], at=now)
    first = rollout.first_breach_at or now
    # The token of this moment: one that changes from here on asks for another try.
    token = facts.spec.rollout.retry_token if rollout.breach is None else rollout.retry_token
    status = update_rollout(status, breach=breach, first_breach_at=first, retry_token=token)
    if weight > 0 and stable_lost(facts):
        text = f"{message}, but stable has no ready pod"
        told = warning(pauses.STABLE_LOST, f"{text}: the weight stays at {weight} % until it has")
        return Change(pauses.freeze(status, pauses.STABLE_LOST, text, now, token), (*events, told))
    status = update(status, canary=weigh(canary, 0))
    status = update_rollout(status, stage=Stage.ROLLING_BACK, waiting_since=now, pause_reasons=())
    text = f"{message}: all traffic goes back to {describe(status.stable) if status.stable else 'stable'}"
    return Change(status, (*events, warning("RollingBack", text)))


def starved(facts: Facts) -> Change | None:
    """``onInsufficient.do: Rollback``: the requests that a verdict needs do not come."""
    policy = facts.spec.analysis.on_insufficient
    if policy.do is not InsufficientPolicy.ROLLBACK or not pauses.starved(facts):
        return None
    if pauses.clock_is_wrong(facts):
        return None
    message = pauses.no_verdict(facts)
    return latch(facts, facts.status, pauses.STARVED, message, (), guard=True)


def unpause(facts: Facts) -> Change | None:
    """What a paused breach waited for is there: stable is back, or ``onBreach`` says Rollback now."""
    rollout = facts.status.rollout
    if rollout is None or rollout.stage is not Stage.PAUSED or not rollout.pause_reasons:
        return None
    if rollout.breach is None and rollout.pause_reasons[0].reason in STOOD_DOWN:
        return None  # no breach: what they wait for is looked at elsewhere
    if rollout.breach is not None:  # latched: it waits for stable alone
        if stable_lost(facts):
            return None
        breach = rollout.breach
        return latch(facts, facts.status, breach.reason, breach.message, (), guard=True)
    if facts.spec.rollout.on_breach is OnBreach.PAUSE:
        return None
    pause = rollout.pause_reasons[0]
    return latch(facts, facts.status, pause.reason, pause.message, ())


def _why(facts: Facts, revision: str) -> str:
    workload: Workload | None = facts.seen.workloads.get(short(revision))
    return f": {workload.problem}" if workload and workload.problem else ""
