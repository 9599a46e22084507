"""What the world must become, derived from the state alone.

Intents are computed from the *committed* status on every pass, so that a crash between commit and
effect heals on the next one.
"""

from __future__ import annotations

from serinus.api.status import Arm, ModelDeploymentStatus, Stage
from serinus.core.drift import waits
from serinus.core.facts import Facts, admission
from serinus.core.fence import stamp
from serinus.core.observed import Observed
from serinus.core.pauses import clock_is_wrong
from serinus.core.plan import (
    EnsureRoute,
    EnsureService,
    EnsureWorkload,
    Intent,
    RemoveRevision,
    Reweigh,
)
from serinus.core.revision import short
from serinus.core.traffic import canary_replicas, step_weight


def intents(facts: Facts) -> tuple[Intent, ...]:
    """Everything to hold true, in the order in which it must become true.

    A route that raises nobody's weight comes first: the way back waits for no other write. One that
    raises a weight comes after what it refers to.
    """
    route = _route(facts)
    objects: list[Intent] = []
    for arm, replicas, admitted in _arms(facts):
        objects.append(EnsureService(arm))
        workload = facts.seen.workloads.get(short(arm.revision))
        if workload is None or not workload.drifted or not waits(facts.status, facts.now):
            objects.append(EnsureWorkload(arm, replicas, admitted))
    removals = _removals(facts)
    if route is None:
        return (*objects, *removals)
    if _raises_a_canary(facts, route):
        return (*objects, route, *removals)
    return (route, *objects, *removals)


def way_back(seen: Observed, status: ModelDeploymentStatus) -> tuple[Intent, ...]:
    """Weight 0 for a canary in the live route, where the spec is no help."""
    stable, canary = status.stable, status.canary
    if stable is None or canary is None or canary.requested_weight > 0 or seen.route is None:
        return ()
    own, key = short(stable.revision), short(canary.revision)
    written = seen.route.weights.get(key) == 0 and seen.route.fence == stamp(status)
    if (
        key not in seen.route.weights
        or written
        or own not in seen.route.weights
        or not seen.ready(own)
    ):
        return ()
    return (Reweigh(((own, 100), (key, 0)), stamp(status)),)


def _arms(facts: Facts) -> list[tuple[Arm, int, str]]:
    status, replicas = facts.status, facts.spec.server.replicas
    arms = []
    if status.stable is not None:
        # Stable's own admission is long past: its Deployment keeps the mark that it has.
        arms.append((status.stable, replicas, ""))
    rollout, canary = status.rollout, status.canary
    # What is on its way out is not made again: its pods stay as they are until it is removed.
    if canary is not None and rollout is not None and rollout.stage is not Stage.ROLLING_BACK:
        weight = max(step_weight(facts.spec, rollout.step), canary.requested_weight)
        arms.append((canary, canary_replicas(replicas, weight), admission(rollout)))
    return arms


def _route(facts: Facts) -> EnsureRoute | None:
    """The weights to write; None leaves the route as it is.

    No weight is raised on a revision without a ready pod, whatever the state says: an increase
    needs a fresh look, and this pass's observation is one.
    """
    status, canary, stable = facts.status, facts.status.canary, facts.status.stable
    if stable is None or stable.requested_weight == 0:
        return None
    weights = {short(stable.revision): 100}
    if canary is not None and status.rollout is not None:
        key, weight = short(canary.revision), canary.requested_weight
        # Weight 0 is written out while the reference is there, and only to a Service that exists.
        leaving = status.rollout.stage in {Stage.ROLLING_BACK, Stage.PAUSED}
        going = leaving and facts.referenced(key)
        if weight or (going and key in facts.seen.services):
            weights = {short(stable.revision): 100 - weight, key: weight}
    rising = [key for key, weight in weights.items() if weight > _before(facts, key)]
    if any(facts.seen.ready(key) < 1 for key in rising):
        return None
    fence, route = stamp(status), facts.seen.route
    if route is not None and route.drifted and route.fence == fence and waits(status, facts.now):
        return None  # somebody else changed it, and its turn to be set right has not come
    return EnsureRoute(tuple(weights.items()), fence)


def _before(facts: Facts, key: str) -> int:
    return facts.seen.route.weights.get(key, 0) if facts.seen.route else 0


def _raises_a_canary(facts: Facts, route: EnsureRoute) -> bool:
    """Whether a revision that has not all of the traffic already gets more of it."""
    stable = facts.status.stable
    own = (
        short(stable.revision)
        if stable is not None and _before(facts, short(stable.revision))
        else ""
    )
    return any(weight > _before(facts, key) for key, weight in route.weights if key != own)


def _removals(facts: Facts) -> list[Intent]:
    """Retired revisions whose delay has passed and that the route no longer names."""
    out: list[Intent] = []
    if clock_is_wrong(facts):
        return out  # their delay may not have passed
    for retiring in facts.status.retiring:
        key = short(retiring.revision)
        if facts.now >= retiring.remove_at and not facts.referenced(key):
            out.append(RemoveRevision(key))
    return out
