"""One operator process: the real queue, workers, resync and Lease over a client of its own.

It is put together as ``serinus.app.main`` does it, without kopf: watch events add keys to the queue.
When a part ends, the process ends, and a new one is started after a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from serinus.api import names
from serinus.api.spec import GatewayRef
from serinus.app.handlers import OWNED, Sightings
from serinus.app.lease import Lease, lease_ref
from serinus.app.resolver import BackgroundRegistry
from serinus.app.resync import resync
from serinus.app.telemetry import Telemetry
from serinus.app.worker import Worker
from serinus.app.workqueue import WorkQueue
from serinus.core.observed import Defaults
from serinus.kube.fence import FencedKube
from serinus.ports import KubeApi
from serinus.reconcile.deps import Deps, Key, no_rank
from serinus.reconcile.gate import Gate

from .client import PASS, Client
from .loop import OUTSIDE, Process
from .metrics import Scrapes, Source
from .store import EPOCH, Address, Object

if TYPE_CHECKING:
    from .world import World

OPERATORS = "serinus-system"
WORKERS = 2
_WATCHED = {kind.plural: kind for kind in OWNED}


@dataclass(frozen=True, slots=True)
class Setup:
    """How operator processes are started.

    Attributes:
        replicas: of the operator; more than one need the Lease.
        lease: leader election is on.
        image: the model server's default image of this release of the operator.
        offset: seconds by which the process's wall clock is ahead.
    """

    replicas: int = 1
    lease: bool = False
    image: str = "server:1"
    offset: float = 0.0


class Clock:
    """A wall clock that may be wrong, may jump, and may be too fast or too slow."""

    def __init__(self, world: World, offset: float) -> None:
        self._world = world
        self.set(offset)

    def set(self, offset: float, rate: float = 1.0) -> None:
        """From now on it is ahead by ``offset`` seconds, and runs ``rate`` seconds per second."""
        self._since, self._offset, self._rate = self._world.now, offset, rate

    @property
    def offset(self) -> float:
        """Seconds by which it is ahead."""
        return self._offset + (self._world.now - self._since) * (self._rate - 1.0)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._world.now + self.offset)


class Queue(WorkQueue[Key]):
    """The real queue; what is taken from it begins a reconcile, which gets its number."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    async def take(self) -> Key:
        key = await super().take()
        world = self._host.world
        world.passes += 1
        PASS.set(world.passes)
        world.log("pass", actor=self._host.name, id=world.passes, object=str(key))
        return key


class Host:
    """One process from its start to its end."""

    def __init__(self, world: World, setup: Setup) -> None:
        self.world = world
        self.setup = setup
        self.name = f"operator-{len(world.hosts) + 1}"
        self.process = Process(self.name)
        self.clock = Clock(world, setup.offset)
        self.started_at = world.now
        self.restarts = True
        self.lease: Lease | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        world.hosts.append(self)
        world.log("start", actor=self.name, clock_offset=setup.offset, release=setup.image)
        self._spawn(self._run())

    @property
    def alive(self) -> bool:
        """Running, and not on its way out."""
        return not self.process.dead and self.restarts

    @property
    def epoch(self) -> int:
        return self.lease.epoch if self.lease is not None else 0

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.process.context.run(
            self.world.loop.create_task, work, context=self.process.context.copy()
        )
        task.add_done_callback(self._ended, context=OUTSIDE)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """A part of the process has ended, so the process does."""
        if not self.alive or task.cancelled() or not self.restarts:
            return
        error = task.exception()
        if error is not None:
            self.world.log("exit", actor=self.name, error=f"{type(error).__name__}: {error}")
            self.crash("exit")

    async def _run(self) -> None:
        world, setup = self.world, self.setup
        client = Client(world, self)
        kube: KubeApi = client
        if setup.lease:
            self.lease = lease = Lease(
                client, lease_ref(OPERATORS, "serinus"), self.name, self.clock
            )
            epoch = await lease.acquire()
            world.log("lease", actor=self.name, epoch=epoch)
            kube = FencedKube(client, lease.fresh)
            self._spawn(lease.hold())
        gate = Gate(kube)
        deps = Deps(
            kube=gate,
            metrics=Source(world, self),
            registry=BackgroundRegistry(world.registry),
            clock=self.clock,
            defaults=Defaults(
                server_image=setup.image,
                gateway=GatewayRef(name="public", namespace="infra"),
                resync=timedelta(seconds=world.pace.resync),
            ),
            tracking_uri="",
            epoch=lambda: self.epoch,
            outrank=self.lease.outrank if self.lease is not None else no_rank,
            second=Scrapes(world, self),
            clock_skew=lambda: timedelta(seconds=self.clock.offset),
        )
        telemetry = Telemetry()
        self.queue = Queue(self)
        self.sightings = Sightings(self.queue, deps.claims, gate)
        self.leading = True
        worker = Worker(self.queue, deps, telemetry)
        for _ in range(WORKERS):
            self._spawn(worker.run())
        self._spawn(resync(self.queue, deps, (), telemetry, deps.claims.replace))

    # --- what happens to it -------------------------------------------------------------------

    leading = False

    def watched(self, event: str, at: Address, item: Object) -> None:
        """A watch event on its way: it adds the object's key, later, perhaps never or twice."""
        if not self.leading or self.process.dead:
            return
        if at.plural == names.PLURAL:
            tell = self.sightings.changed
        elif at.plural in _WATCHED:
            labels = item["metadata"].get("labels") or {}
            if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
                return
            tell = partial(self.sightings.owned_changed, _WATCHED[at.plural])
        else:
            return
        loop, seen = self.world.loop, {"type": event, "object": item}
        for delay in self.world.faults.on_event(self, at):
            loop.call_at(loop.time() + delay, tell, seen, context=self.process.context.copy())

    def crash(self, point: str = "idle") -> None:
        """Ends at once; nothing of it ever runs again."""
        if self.process.dead:
            return
        self.process.dead = True
        self.world.log("crash", actor=self.name, point=point)
        if self.restarts:
            self.world.loop.outside(self.world.pace.restart, self._again)

    def _again(self) -> None:
        if self.restarts:
            Host(self.world, self.world.setup)

    def stop(self) -> None:
        """A clean end: the workers stop, then the Lease is given back. Nothing starts it again."""
        self.restarts = False
        self.world.log("stop", actor=self.name)
        for task in self._tasks:
            task.cancel()
        self.leading = False
        if self.lease is not None:
            self._spawn(self.lease.release())
        self.world.loop.outside(5.0, self._end)

    def _end(self) -> None:
        self.process.dead = True

    def freeze(self) -> None:
        """Gets no time until :meth:`thaw`: a paused machine, a very long stop of the world."""
        if self.alive:
            self.world.log("freeze", actor=self.name)
            self.process.frozen = True

    def thaw(self) -> None:
        if self.alive and self.process.frozen:
            self.world.log("thaw", actor=self.name)
            self.world.loop.thaw(self.process)
