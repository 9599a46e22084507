"""Rises of a canary's weight: what several invariants look at."""

from __future__ import annotations

from dataclasses import dataclass

from .evidence import Answer
from .subject import Subject
from .views import short, weights
from .world import World, Write


@dataclass(frozen=True, slots=True)
class Raise:
    """A commit that asks for more weight for a canary.

    Attributes:
        since: when the weight before was asked for.
        held: when the router first had the weight before; None: never.
        forced: a person has asked to go on since then.
    """

    revision: str
    before: int
    after: int
    since: float
    held: float | None
    forced: bool


def raise_of(write: Write, subject: Subject) -> Raise | None:
    """The rise that a status commit asks for, also by promotion; None when it asks for none."""
    old = (write.before or {}).get("status") or {}
    canary = old.get("canary") or {}
    revision = short(canary.get("revision", "")) or subject.canary
    if not revision:
        return None
    before = int(canary.get("requestedWeight", 0))
    if subject.stable == revision:
        after = 100
    elif subject.canary == revision:
        after = int(subject.arm("canary").get("requestedWeight", 0))
    else:
        return None
    if after <= before:
        return None
    asked = subject.asked if subject.stable == revision else subject.asked_before
    since = asked.get(revision, (0, 0.0))[1]
    forced = subject.commanded("promote", revision)
    return Raise(
        revision=revision,
        before=before,
        after=after,
        since=since,
        held=subject.held.get((revision, before)),
        forced=forced is not None and forced >= since,
    )


def patient(world: World, write: Write, subject: Subject, rise: Raise) -> bool:
    """Whether the spec lets a rollout go on that has waited long enough for evidence."""
    since = rise.held if rise.held is not None else rise.since
    enough = world.at_least(subject.spec.insufficient_after)
    return subject.spec.insufficient == "Promote" and write.t - since >= enough


def evidence(subject: Subject, rise: Raise) -> list[Answer]:
    """What was known of the canary at the weight before."""
    since = rise.held if rise.held is not None else rise.since
    return [a for a in subject.answers.get(rise.revision, ()) if a.t >= since]


def rising(write: Write) -> dict[str, tuple[int, int]]:
    """Short revision -> (weight before, weight after), of those that the write of a route raises."""
    old = weights(write.before)
    return {
        revision: (old.get(revision, 0), weight)
        for revision, weight in weights(write.after).items()
        if weight > old.get(revision, 0)
    }
