"""Operator processes that stand still, lose their Lease, or do not know what time it is."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from ..host import OPERATORS
from ..store import Address
from .base import Faults

if TYPE_CHECKING:
    from ..host import Host
    from ..world import World


class Freezes(Faults):
    """A process gets no time for some seconds, then goes on as if nothing had been."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._times = sorted(rng.uniform(1.0, 30.0) for _ in range(rng.randint(1, 3)))
        self.calm_at = 75.0

    def begin(self, world: World) -> None:
        super().begin(world)
        for moment in self._times:
            world.loop.outside(moment, self._freeze)

    def _freeze(self) -> None:
        hosts = [h for h in self.world.hosts if h.alive and not h.process.frozen]
        if hosts:
            leaders = [h for h in hosts if h.leading] or hosts
            host: Host = self._rng.choice(leaders if self._rng.random() < 0.7 else hosts)
            self.world.fault("freeze", actor=host.name)
            host.freeze()
            self.world.loop.outside(self._rng.choice((1.0, 5.0, 12.0, 18.0, 40.0)), host.thaw)


class LeaseAttacks(Faults):
    """The Lease is deleted, taken by somebody who never works, or cannot be written."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._times = [rng.uniform(1.0, 40.0) for _ in range(rng.randint(1, 2))]
        self.calm_at = 60.0

    def begin(self, world: World) -> None:
        super().begin(world)
        for moment in self._times:
            world.loop.outside(moment, self._attack)

    def _attack(self) -> None:
        world, at = self.world, Address("leases", OPERATORS, "serinus-leader")
        live = world.store.get(at)
        if live is None:
            return
        if self._rng.random() < 0.5:
            world.fault("lease deleted")
            world.write("foreign", "delete", at)
        else:
            world.fault("lease taken")
            spec = {
                "holderIdentity": "intruder",
                "leaseTransitions": live["spec"]["leaseTransitions"] + 1,
            }
            world.write("foreign", "patch", at, {"spec": spec})


class Skew(Faults):
    """Clocks are wrong by minutes, jump, run too fast or slow; in the end they are set right."""

    harsh = True

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._times = sorted(rng.uniform(0.0, 30.0) for _ in range(rng.randint(1, 3)))
        self.calm_at = 40.0

    def begin(self, world: World) -> None:
        super().begin(world)
        for moment in self._times:
            world.loop.outside(moment, self._jump)
        world.loop.outside(self.calm_at, self._mend)

    def _jump(self) -> None:
        hosts = [h for h in self.world.hosts if h.alive]
        if hosts:
            host = self._rng.choice(hosts)
            offset = self._rng.choice((-300.0, -20.0, -2.0, 0.0, 2.0, 20.0, 300.0))
            rate = self._rng.choice((0.8, 1.0, 1.0, 1.2))
            host.clock.set(offset, rate)
            self.world.fault("clock jump", actor=host.name, offset=offset, rate=rate)

    def _mend(self) -> None:
        for host in self.world.hosts:
            host.clock.set(0.0)
