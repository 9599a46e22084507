"""What goes wrong, and when. Every choice is the seed's, so that a run can be had again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from serinus.ports import SeriesQuery

from .client import Call, CallFault
from .store import Address, Replica

if TYPE_CHECKING:
    from .host import Host
    from .world import World

EVENT_DELAY = 0.02  # seconds until a watch event arrives


class Faults:
    """No faults; the base of all others. ``calm_at``: seconds after which it injects nothing."""

    calm_at = 0.0

    def begin(self, world: World) -> None:
        """The run begins: schedules what happens at its own times."""
        self.world = world

    def on_call(self, call: Call) -> CallFault | None:
        return None

    def on_event(self, host: Host, at: Address) -> tuple[float, ...]:
        """Delays of the copies of a watch event that arrive; none: it is lost."""
        return (EVENT_DELAY,)

    def on_read(self, query: SeriesQuery) -> str:
        """One of :data:`metrics.FAULTS`, or nothing."""
        return ""

    def replica(self, call: Call) -> Replica | None:
        """The lagging copy that answers a read, or None for the store itself."""
        return None


class CrashAt(Faults):
    """The process that makes the call with this number crashes at that point of it."""

    def __init__(self, points: Mapping[int, str]) -> None:
        self._points = points

    def on_call(self, call: Call) -> CallFault | None:
        point = self._points.get(call.index)
        return CallFault(f"crash {point}", crash=point) if point else None
