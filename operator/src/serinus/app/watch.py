"""kopf's run from start to stop: it waits for our kind, watches, and ends when it is told to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import kopf

from serinus.app.handlers import Sightings, make_registry, make_settings
from serinus.app.settings import Settings
from serinus.app.startup import Discovering, kinds_are_served, stop_on_signals
from serinus.app.workqueue import WorkQueue
from serinus.reconcile.claims import ClaimIndex
from serinus.reconcile.deps import Key
from serinus.reconcile.gate import Gate


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watches work with, and whom they tell.

    Attributes:
        stop: ends them; set by signals, too.
    """

    settings: Settings
    kube: Discovering
    claims: ClaimIndex
    gate: Gate
    stop: asyncio.Event

    async def run(self, queue: WorkQueue[Key]) -> None:
        """Adds keys to the queue until ``stop``, or until kopf ends by itself."""
        if await kinds_are_served(self.kube, self.settings.namespace_list, self.stop):
            await self._run_kopf(queue)

    async def _run_kopf(self, queue: WorkQueue[Key]) -> None:
        """Runs the watches until ``stop``.

        Its own way to stop would first wait five seconds for every task of the process that it does not
        know, open connections to the probes among them; when cancelled it does not.
        """
        namespaces = self.settings.namespace_list
        stopping = asyncio.create_task(self.stop.wait())
        others = asyncio.all_tasks()  # with ``stopping``: kopf ends what is not among them
        tasks = await kopf.spawn_tasks(
            registry=make_registry(Sightings(queue, self.claims, self.gate), self.settings),
            settings=make_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
        )
        stop_on_signals(self.stop)  # instead of kopf's handlers, which it has just installed
        running = asyncio.create_task(kopf.run_tasks(tasks, ignored=others))
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            running.cancel()
            await asyncio.wait({running, stopping})
        if not running.cancelled():
            running.result()  # raises what ended it
