"""What a decision says: the next status, what the world must become, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from serinus.api.status import Arm, ModelDeploymentStatus


class EventType(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the story, for ``kubectl describe``."""

    type: EventType
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class EnsureService:
    """The revision's Service exists."""

    arm: Arm


@dataclass(frozen=True, slots=True)
class EnsureWorkload:
    """The revision's Deployment exists, has this many replicas, and the template it was admitted with.

    ``admitted`` is when the revision was last taken in: a delete that was on its way before then finds
    another version of the object.
    """

    arm: Arm
    replicas: int
    admitted: str = ""


@dataclass(frozen=True, slots=True)
class EnsureRoute:
    """The route sends these weights, which sum to 100, to these revisions (short).

    ``fence`` names the commit that the weights come from. It is written on the route, so that every
    change of weights writes the route, and a write that was delayed on its way finds a newer version.
    """

    weights: tuple[tuple[str, int], ...]
    fence: str = ""

    def __post_init__(self) -> None:
        if sum(w for _, w in self.weights) != 100 or any(
            not 0 <= w <= 100 for _, w in self.weights
        ):
            raise ValueError(f"weights must be 0..100 and sum to 100: {self.weights}")


@dataclass(frozen=True, slots=True)
class RemoveRevision:
    """The revision's Deployment and Service are gone."""

    short: str


@dataclass(frozen=True, slots=True)
class Reweigh:
    """The live route, otherwise as it is, has these weights: for a spec that no route can be made of."""

    weights: tuple[tuple[str, int], ...]
    fence: str = ""


Intent = EnsureService | EnsureWorkload | EnsureRoute | Reweigh | RemoveRevision


@dataclass(frozen=True, slots=True)
class Plan:
    status: ModelDeploymentStatus | None  # None: leave the status alone
    conditions_only: bool = False  # the stored status could not be read: touch nothing else in it
    intents: tuple[Intent, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None  # None: wait for an event or the resync
