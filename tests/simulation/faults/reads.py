"""Reads from an API server that lags behind."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from ..client import READS, Call
from ..store import Replica
from .base import Faults

if TYPE_CHECKING:
    from ..world import World


class StaleReads(Faults):
    """The operator crashes; what it reads afterwards is old, always or now and then.

    An old view of the pods may show a canary without any: that takes its traffic back, which is safe.
    """

    harsh = True

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._crash_at = rng.uniform(2.0, 20.0)
        self._lag = rng.choice((1.0, 3.0, 10.0, 30.0))
        self._share = rng.choice((0.3, 1.0))
        self.calm_at = self._crash_at + rng.uniform(3.0, 15.0)

    def begin(self, world: World) -> None:
        super().begin(world)
        world.loop.outside(self._crash_at, self._crash)

    def _crash(self) -> None:
        for host in self.world.hosts:
            if host.alive:
                self.world.fault("crash idle", actor=host.name)
                host.crash()

    def replica(self, call: Call) -> Replica | None:
        if not self.on or self.world.now < self._crash_at or call.verb not in READS:
            return None
        if call.at.plural == "leases" or self._rng.random() >= self._share:
            return None
        self.world.fault("stale read", actor=call.host.name, call=call.name, lag=self._lag)
        return self.world.store.as_of(self.world.now - self._lag)
