"""What every invariant is made of: it listens to a few kinds of event and tells what is broken.

A subclass overrides only what it needs; the engine calls nothing else. The world has already followed
the event, except in ``passed``.
"""

from __future__ import annotations

from typing import ClassVar

from .subject import Subject
from .violation import Violation
from .world import Event, World, Write


class Invariant:
    """One promise, checked over one run."""

    name: ClassVar[str]

    def __init__(self, world: World, found: list[Violation]) -> None:
        self.world = world
        self._found = found

    def fail(self, t: float, subject: Subject | str, message: str) -> None:
        """Something is broken."""
        key = subject if isinstance(subject, str) else subject.key
        self._found.append(Violation(self.name, t, key, message))

    def attempted(self, event: Event) -> None:
        """An operator has sent a write, whatever became of it."""

    def wrote(self, write: Write) -> None:
        """An operator's write was taken, of whatever object."""

    def routed(self, write: Write, subject: Subject) -> None:
        """An operator's write of a route was taken."""

    def committed(self, write: Write, subject: Subject) -> None:
        """An operator's write of a status was taken."""

    def deployed(self, write: Write, subject: Subject) -> None:
        """An operator's write of a Deployment was taken."""

    def changed(self, write: Write) -> None:
        """A write of anybody was taken."""

    def vanished(self, event: Event, subject: Subject) -> None:
        """An object of this ModelDeployment, or itself, has left the store."""

    def served(self, event: Event, subject: Subject) -> None:
        """What clients got in the last second."""

    def disturbed(self, event: Event) -> None:
        """A fault, or the start or end of a process."""

    def passed(self, t: float) -> None:
        """Time has come to ``t``; the world is as it was before."""

    def ended(self, t: float) -> None:
        """The run is over."""
