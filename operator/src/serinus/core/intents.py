"""What the world must become, derived from the state alone.

Intents are computed from the *committed* status on every pass, so that a crash between commit and
effect heals on the next one.
"""

from __future__ import annotations

from serinus.api.status import Arm, ModelDeploymentStatus, Stage
from serinus.core.facts import Facts
from serinus.core.plan import EnsureRoute, EnsureService, EnsureWorkload, Intent, RemoveRevision
from serinus.core.revision import short
from serinus.core.traffic import canary_replicas, step_weight


def intents(facts: Facts) -> tuple[Intent, ...]:
    """Everything to hold true, in the order in which it must become true."""
    status = facts.status
    out: list[Intent] = []
    for arm, replicas in _arms(facts):
        out += (EnsureService(arm), EnsureWorkload(arm, replicas))
    route = _route(facts)
    if route is not None:
        out.append(route)
    out += removals(facts, status)
    return tuple(out)


def _arms(facts: Facts) -> list[tuple[Arm, int]]:
    status, replicas = facts.status, facts.spec.server.replicas
    arms = []
    if status.stable is not None:
        arms.append((status.stable, replicas))
    if status.canary is not None and status.rollout is not None:
        weight = max(step_weight(facts.spec, status.rollout.step), status.canary.requested_weight)
        arms.append((status.canary, canary_replicas(replicas, weight)))
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
        going = status.rollout.stage is Stage.ROLLING_BACK and facts.referenced(key)
        if weight or going:
            weights = {short(stable.revision): 100 - weight, key: weight}
    before = dict(facts.seen.route.weights) if facts.seen.route else {}
    for key, weight in weights.items():
        if weight > before.get(key, 0) and facts.seen.ready(key) < 1:
            return None
    return EnsureRoute(tuple(weights.items()))


def removals(facts: Facts, status: ModelDeploymentStatus) -> list[Intent]:
    """Retired revisions whose delay has passed and that the route no longer names."""
    out: list[Intent] = []
    for retiring in status.retiring:
        key = short(retiring.revision)
        if facts.now >= retiring.remove_at and not facts.referenced(key):
            out.append(RemoveRevision(key))
    return out
