"""What the checks of one decision share: the observation, the readable spec, and the state so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import (
    MAX_HISTORY,
    Arm,
    HistoryEntry,
    ModelDeploymentStatus,
    Outcome,
    Retiring,
    RolloutStatus,
)
from serinus.api.types import format_time
from serinus.core.observed import Observed
from serinus.core.plan import Event, EventType
from serinus.core.revision import revision_of, short


@dataclass(frozen=True, slots=True)
class Facts:
    """Input of every check: ``status`` is the state that the checks before it left."""

    seen: Observed
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    now: datetime

    @property
    def target(self) -> str | None:
        """The revision that the spec asks for; None until its model is resolved.

        What an earlier URI stood for says nothing: with what else changed in the spec since then it
        would make a revision that nobody asked for.
        """
        model = self.status.target
        if model is None or model.uri != self.spec.model.uri:
            return None
        return revision_of(self.spec, model)

    def ready(self, arm: Arm) -> int:
        """Ready pods of an arm that routers know of."""
        return self.seen.ready(short(arm.revision))

    def routed(self, arm: Arm) -> int | None:
        """The weight that the router confirmed for an arm; None while it has not.

        A route that was written for older weights confirms nothing, whatever it says.
        """
        route = self.seen.route
        if route is None or not route.confirmed or route.fence != str(self.status.fence):
            return None
        return route.weights.get(short(arm.revision), 0)

    def referenced(self, short_revision: str) -> bool:
        """Whether the route may still send requests to a revision."""
        route = self.seen.route
        if route is None:
            return False
        return not route.confirmed or short_revision in route.weights


@dataclass(frozen=True, slots=True)
class Change:
    """What a check made of the state."""

    status: ModelDeploymentStatus
    events: tuple[Event, ...] = ()


def normal(reason: str, message: str) -> Event:
    return Event(EventType.NORMAL, reason, message)


def warning(reason: str, message: str) -> Event:
    return Event(EventType.WARNING, reason, message)


def update(status: ModelDeploymentStatus, **fields: Any) -> ModelDeploymentStatus:
    """A copy of the status with these fields set."""
    return status.model_copy(update=fields)


def update_rollout(status: ModelDeploymentStatus, **fields: Any) -> ModelDeploymentStatus:
    """A copy of the status with these fields of its rollout set."""
    if status.rollout is None:
        raise ValueError("there is no rollout to change")
    return update(status, rollout=status.rollout.model_copy(update=fields))


def admission(rollout: RolloutStatus) -> str:
    """Names this admission of a revision: another try of the same revision has another one."""
    return format_time(rollout.started_at)


def weigh(arm: Arm, weight: int) -> Arm:
    """A copy of the arm that asks for this weight."""
    return arm.model_copy(update={"requested_weight": weight})


def retire(
    status: ModelDeploymentStatus, arm: Arm, now: datetime, delay: timedelta
) -> tuple[Retiring, ...]:
    """The retiring list with ``arm`` on it."""
    return (*without(status.retiring, arm), Retiring(revision=arm.revision, remove_at=now + delay))


def without(retiring: tuple[Retiring, ...], arm: Arm) -> tuple[Retiring, ...]:
    """The retiring list without ``arm``, also where it is known by its short revision only."""
    return tuple(r for r in retiring if short(r.revision) != short(arm.revision))


def stable_lost(facts: Facts) -> bool:
    """Stable has no ready pod: no traffic may be moved to it."""
    stable, canary = facts.status.stable, facts.status.canary
    if stable is None or canary is None or stable.requested_weight == 0:
        return False
    return facts.ready(stable) < 1


def remember(
    status: ModelDeploymentStatus,
    arm: Arm,
    rollout: RolloutStatus,
    outcome: Outcome,
    message: str,
    now: datetime,
) -> tuple[HistoryEntry, ...]:
    """The history with the end of this rollout on it, newest last."""
    entry = HistoryEntry(
        revision=arm.revision,
        model_uri=arm.model_uri,
        resolved_version=arm.resolved_version,
        outcome=outcome,
        message=message[:512],
        started_at=rollout.started_at,
        finished_at=now,
    )
    return (*status.history, entry)[-MAX_HISTORY:]


def advance(facts: Facts, change: Change) -> Facts:
    """The facts as the next check sees them."""
    return replace(facts, status=change.status)
