"""The status as people and programs read it: conditions, phase, the cells of kubectl get."""

from __future__ import annotations

from serinus.api import names
from serinus.api.status import (
    Arm,
    ConditionStatus,
    ModelDeploymentStatus,
    Phase,
    Stage,
    Summary,
)
from serinus.core import drift, pauses
from serinus.core.conditions import Conditions, ConditionType, find
from serinus.core.facts import Facts, normal, update, warning
from serinus.core.gates import UNCONFIRMED
from serinus.core.observed import RESOLVING, ResolveFailed
from serinus.core.plan import Event
from serinus.core.revision import describe, short
from serinus.core.traffic import is_final, step_weight

PAUSES = frozenset(
    {
        pauses.STABLE_LOST,
        pauses.APPROVAL,
        pauses.BY_PEOPLE,
        pauses.DRIFT,
        pauses.METRICS,
        pauses.SKEWED,
        pauses.STARVED,
    }
)


def report(facts: Facts) -> tuple[ModelDeploymentStatus, tuple[Event, ...]]:
    """The status to commit, and the events for conditions that changed."""
    before = facts.status
    marks = Conditions(before.conditions, facts.seen.generation, facts.now)
    _mark_model(facts, marks)
    _mark_metrics(facts, marks)
    _mark_available(facts, marks)
    _mark_progressing(facts, marks)
    _mark_rolled_back(facts, marks)
    _mark_ready(facts, marks)
    after = update(
        before,
        observed_generation=facts.seen.generation,
        phase=phase(facts),
        conditions=marks.result(),
        summary=summary(facts),
        url=_url(facts),
        replicas=sum(w.desired for w in facts.seen.workloads.values()),
        selector=",".join(f"{k}={v}" for k, v in names.owner_labels(facts.seen.name).items()),
    )
    seen = facts.seen.status if isinstance(facts.seen.status, ModelDeploymentStatus) else before
    return after, (*_events(before, after), *_pauses_told(seen, after))


def phase(facts: Facts) -> Phase:
    status, rollout = facts.status, facts.status.rollout
    if status.stable is None:
        return Phase.PENDING
    if status.stable.requested_weight == 0:
        late = status.stable_since is not None and (
            facts.now - status.stable_since >= facts.spec.rollout.progress_deadline
        )
        return Phase.FAILED if late else Phase.INITIALIZING
    if rollout is None and not status.stable.observed_weight and not status.history:
        return Phase.INITIALIZING  # the router has not confirmed the first route yet
    if rollout is not None:
        if rollout.stage is Stage.ROLLING_BACK:
            return Phase.ROLLING_BACK
        if rollout.pause_reasons:
            return Phase.PAUSED
        return Phase.PROMOTING if is_final(facts.spec, rollout.step) else Phase.PROGRESSING
    if status.failed is not None and status.failed.revision == facts.target:
        return Phase.ROLLED_BACK
    return Phase.READY


def summary(facts: Facts) -> Summary:
    status, rollout = facts.status, facts.status.rollout
    stable, canary = status.stable, status.canary
    ready = ""
    if stable is not None:
        ready = f"{stable.ready_replicas}/{facts.spec.server.replicas}"
        if canary is not None:
            ready += f"+{canary.ready_replicas}"
    steps = len(facts.spec.rollout.steps)
    return Summary(
        stable=_version(stable),
        canary=_version(canary),
        weight=f"{canary.requested_weight}" if canary is not None else "",
        ready=ready,
        step=f"{min(rollout.step + 1, steps)}/{steps}" if rollout is not None else "",
        verdict=rollout.verdicts[-1].verdict if rollout is not None and rollout.verdicts else "",
    )


def _version(arm: Arm | None) -> str:
    if arm is None:
        return ""
    return arm.resolved_version or short(arm.revision)


def _mark_model(facts: Facts, marks: Conditions) -> None:
    resolution, target = facts.seen.resolution, facts.status.target
    if isinstance(resolution, ResolveFailed):
        status = None if resolution.reason == RESOLVING else False
        marks.mark(ConditionType.MODEL_RESOLVED, status, resolution.reason, resolution.message)
    elif target is None:
        marks.mark(ConditionType.MODEL_RESOLVED, None, "Pending", "the model was not looked up yet")
    else:
        digest = f", {target.digest[:19]}..." if target.digest else ", without a known digest"
        what = f"version {target.version}" if target.version else target.pinned_uri
        marks.mark(ConditionType.MODEL_RESOLVED, True, "Pinned", f"{target.uri} is {what}{digest}")


def _mark_metrics(facts: Facts, marks: Conditions) -> None:
    rollout = facts.status.rollout
    if rollout is None:
        marks.mark(ConditionType.METRICS_AVAILABLE, None, "NotNeeded", "no canary is being judged")
        return
    latest = rollout.verdicts[-1] if rollout.verdicts else None
    if latest is None:
        marks.mark(ConditionType.METRICS_AVAILABLE, None, "NotAskedYet", "no slot has ended yet")
    elif rollout.unavailable_since is not None:
        marks.mark(ConditionType.METRICS_AVAILABLE, False, "SourceUnavailable", latest.message)
    else:
        marks.mark(ConditionType.METRICS_AVAILABLE, True, "Measured", "the metric source answers")


def _mark_available(facts: Facts, marks: Conditions) -> None:
    stable, wanted = facts.status.stable, facts.spec.server.replicas
    if stable is None:
        marks.mark(ConditionType.AVAILABLE, False, "NoRevision", "nothing is deployed yet")
        return
    ready = facts.ready(stable)
    workload = facts.seen.workloads.get(short(stable.revision))
    why = f": {workload.problem}" if workload and workload.problem else ""
    message = f"{ready} of {wanted} pods of {describe(stable)} are ready"
    if ready >= wanted:
        marks.mark(ConditionType.AVAILABLE, True, "AllReady", message)
    elif ready:
        marks.mark(ConditionType.AVAILABLE, True, "SomeReady", message + why)
    else:
        marks.mark(ConditionType.AVAILABLE, False, "NoneReady", message + why)


def _mark_progressing(facts: Facts, marks: Conditions) -> None:
    rollout, canary = facts.status.rollout, facts.status.canary
    kind = ConditionType.PROGRESSING
    if rollout is None or canary is None:
        _mark_at_rest(facts, marks)
        return
    who, weight = describe(canary), canary.requested_weight
    steps = len(facts.spec.rollout.steps)
    where = (
        "promotion" if is_final(facts.spec, rollout.step) else f"step {rollout.step + 1} of {steps}"
    )
    if rollout.stage is Stage.ROLLING_BACK:
        _mark_rolling_back(facts, marks, who)
    elif rollout.pause_reasons:
        reasons = "; ".join(reason.message for reason in rollout.pause_reasons)
        reason = rollout.pause_reasons[0].reason
        reason = reason if reason in PAUSES else "Paused"
        marks.mark(kind, False, reason, f"{who} stays at {weight} %: {reasons}")
    elif rollout.stage is Stage.SCALING:
        goal = step_weight(facts.spec, rollout.step)
        workload = facts.seen.workloads.get(short(canary.revision))
        why = f": {workload.problem}" if workload and workload.problem else ""
        marks.mark(kind, True, "Scaling", f"{who} is starting pods for {goal} % ({where}){why}")
    elif rollout.stage is Stage.SHIFTING:
        marks.mark(
            kind, True, "Shifting", f"waiting for the router to confirm {weight} % ({where})"
        )
    else:
        marks.mark(kind, True, "Holding", f"{who} has {weight} % and is being judged ({where})")


def _mark_rolling_back(facts: Facts, marks: Conditions, who: str) -> None:
    rollout = facts.status.rollout
    if rollout is None:
        return
    why = rollout.breach.message if rollout.breach else "the spec asks for another revision"
    late = facts.now - rollout.waiting_since >= facts.spec.rollout.progress_deadline
    if not late:
        marks.mark(
            ConditionType.PROGRESSING, True, "RollingBack", f"{who} loses its traffic: {why}"
        )
        return
    route = facts.seen.route
    problem = route.problem if route is not None else "there is no route"
    text = f"weight 0 of {who} is written, and the router has not confirmed it: {problem}"
    marks.mark(ConditionType.PROGRESSING, False, UNCONFIRMED, text)


def _mark_at_rest(facts: Facts, marks: Conditions) -> None:
    status, kind = facts.status, ConditionType.PROGRESSING
    current = phase(facts)
    if current is Phase.PENDING:
        marks.mark(kind, False, "Pending", "the model is not resolved yet")
    elif current is Phase.INITIALIZING:
        marks.mark(kind, True, "Initializing", "the first revision is starting")
    elif current is Phase.FAILED:
        marks.mark(
            kind, False, "ProgressDeadlineExceeded", "the first revision was not ready in time"
        )
    elif current is Phase.ROLLED_BACK and status.failed is not None:
        marks.mark(kind, False, "RolledBack", status.failed.message)
    elif status.stable is not None and facts.target not in {None, status.stable.revision}:
        held = pauses.held_back(facts)
        reason, text = held or ("Pending", "the pods of its last try are still draining")
        marks.mark(kind, False, reason, f"the rollout of another revision waits: {text}")
    else:
        marks.mark(kind, False, "Complete", "the revision that the spec asks for serves")


def _mark_rolled_back(facts: Facts, marks: Conditions) -> None:
    failed = facts.status.failed
    if failed is None or failed.revision != facts.target:
        marks.mark(
            ConditionType.ROLLED_BACK, False, "NotRolledBack", "the last rollout did not fail"
        )
        return
    who = (
        f"version {failed.resolved_version}" if failed.resolved_version else short(failed.revision)
    )
    marks.mark(
        ConditionType.ROLLED_BACK, True, failed.reason, f"{who} was taken back: {failed.message}"
    )


def _mark_ready(facts: Facts, marks: Conditions) -> None:
    stable, route, kind = facts.status.stable, facts.seen.route, ConditionType.READY
    if facts.seen.write_problem:
        marks.mark(kind, False, "WriteRefused", facts.seen.write_problem)
    elif stable is None or stable.requested_weight == 0:
        marks.mark(kind, False, "NotServing", "no revision has traffic yet")
    elif facts.seen.route_conflict:
        marks.mark(kind, False, "RouteConflict", facts.seen.route_conflict)
    elif route is None or not route.confirmed:
        why = f": {route.problem}" if route and route.problem else ""
        marks.mark(kind, False, "RouteNotConfirmed", f"the router has not confirmed the route{why}")
    elif drift.conflict(facts.status, facts.now):
        text = f"somebody else has changed what is ours {drift.CONFLICT} times in ten minutes"
        marks.mark(kind, False, pauses.DRIFT, f"{text}; each time it was set right again")
    elif facts.ready(stable) < 1:
        marks.mark(kind, False, "NoneReady", f"no pod of {describe(stable)} is ready")
    else:
        marks.mark(kind, True, "Serving", f"{describe(stable)} serves")


def _url(facts: Facts) -> str:
    traffic = facts.spec.traffic
    if not traffic.hostnames or facts.status.stable is None:
        return ""
    return f"http://{traffic.hostnames[0]}{traffic.path}"


def _events(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[Event, ...]:
    """Events for conditions that people must hear of when they turn, and for every model pinned."""
    out: list[Event] = []
    for kind, reason in (
        (ConditionType.PROGRESSING, UNCONFIRMED),
        (ConditionType.READY, pauses.DRIFT),
    ):
        old, new = find(before.conditions, kind), find(after.conditions, kind)
        if new is not None and new.reason == reason and (old is None or old.reason != reason):
            out.append(warning(new.reason, new.message))
    for kind in (ConditionType.MODEL_RESOLVED, ConditionType.METRICS_AVAILABLE):
        old, new = find(before.conditions, kind), find(after.conditions, kind)
        if new is None:
            continue
        turned = old is None or old.status is not new.status
        if new.status is ConditionStatus.FALSE and turned:
            out.append(warning(new.reason, new.message))
        elif new.status is ConditionStatus.TRUE:
            pinned = kind is ConditionType.MODEL_RESOLVED and (
                old is None or old.message != new.message
            )
            back = turned and old is not None and old.status is ConditionStatus.FALSE
            if pinned or back:
                out.append(normal(new.reason, new.message))
    return tuple(out)


def _pauses_told(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[Event, ...]:
    """What holds a rollout back from now on, and what does no longer; the caller's checks tell of
    the reasons that freeze it."""
    old, new = _passing(before), _passing(after)
    begun = [warning(reason, text) for reason, text in new.items() if reason not in old]
    if old and not new and after.rollout is not None:
        begun.append(normal("Resumed", f"no longer: {', '.join(old)}"))
    return tuple(begun)


def _passing(status: ModelDeploymentStatus) -> dict[str, str]:
    rollout = status.rollout
    reasons = rollout.pause_reasons if rollout is not None else ()
    lasting = {pauses.BY_PEOPLE, pauses.APPROVAL, pauses.STARVED, pauses.SKEWED}
    return {r.reason: r.message for r in reasons if r.reason in lasting}
