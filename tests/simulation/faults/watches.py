"""Watch events that are lost, doubled, late, out of order; streams that are silent."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from ..store import Address
from .base import ARRIVES, Faults

if TYPE_CHECKING:
    from ..host import Host


class WatchFaults(Faults):
    """Each event has a fault with some probability; now and then the whole stream stands still."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._share = rng.choice((0.1, 0.4, 0.9, 1.0))
        self._stall = rng.uniform(0.0, 25.0)
        self._silent = rng.choice((0.0, 5.0, 15.0))
        self.calm_at = 40.0

    def on_event(self, host: Host, at: Address) -> tuple[float, ...]:
        if not self.on:
            return ARRIVES
        rng, now = self._rng, self.world.now
        if self._stall <= now < self._stall + self._silent:
            self.world.fault("watch silent", actor=host.name, resource=at.plural)
            return ()
        if rng.random() >= self._share:
            return ARRIVES
        what = rng.choice(("lost", "doubled", "late", "reordered"))
        self.world.fault(f"watch {what}", actor=host.name, resource=at.plural)
        match what:
            case "lost":
                return ()
            case "doubled":
                return (ARRIVES[0], rng.uniform(0.0, 3.0))
            case "late":
                return (rng.choice((5.0, 60.0, 120.0)),)
            case _:
                return (rng.uniform(0.0, 1.0),)
