"""The shape of every kind of fault: what it may do to a call, an event, a read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serinus.ports import SeriesQuery

from ..client import Call, CallFault
from ..store import Address, Replica

if TYPE_CHECKING:
    from ..host import Host
    from ..world import World

EVENT_DELAY = 0.02  # seconds until a watch event arrives
ARRIVES = (EVENT_DELAY,)


class Faults:
    """No faults; the base of all others.

    Attributes:
        calm_at: seconds after which it injects nothing.
        harsh: it may make a revision fail that would have been promoted (pods deleted, clocks wrong).
    """

    calm_at = 0.0
    harsh = False
    world: World

    def begin(self, world: World) -> None:
        """The run begins: schedules what happens at its own times."""
        self.world = world

    @property
    def on(self) -> bool:
        return self.world.now < self.calm_at

    def on_call(self, call: Call) -> CallFault | None:
        return None

    def on_event(self, host: Host, at: Address) -> tuple[float, ...]:
        """Delays of the copies of a watch event that arrive; none: it is lost."""
        return ARRIVES

    def on_read(self, query: SeriesQuery) -> str:
        """One of ``simulation.metrics.FAULTS``, or nothing."""
        return ""

    def replica(self, call: Call) -> Replica | None:
        """The lagging copy that answers a read, or None for the store itself."""
        return None


class Several(Faults):
    """More than one kind; the first that has something to say is heard."""

    def __init__(self, parts: Sequence[Faults]) -> None:
        self._parts = parts
        self.calm_at = max(part.calm_at for part in parts)
        self.harsh = any(part.harsh for part in parts)

    def begin(self, world: World) -> None:
        super().begin(world)
        for part in self._parts:
            part.begin(world)

    def on_call(self, call: Call) -> CallFault | None:
        return next((f for part in self._parts if (f := part.on_call(call)) is not None), None)

    def on_event(self, host: Host, at: Address) -> tuple[float, ...]:
        for part in self._parts:
            delays = part.on_event(host, at)
            if delays != ARRIVES:
                return delays
        return ARRIVES

    def on_read(self, query: SeriesQuery) -> str:
        return next((what for part in self._parts if (what := part.on_read(query))), "")

    def replica(self, call: Call) -> Replica | None:
        return next((r for part in self._parts if (r := part.replica(call)) is not None), None)
