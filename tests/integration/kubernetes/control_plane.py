"""What the tests act on and look at: a real control plane, node and Gateway stood in for."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.operator import cluster
from bench.operator.cluster import MODEL_DEPLOYMENTS
from bench.operator.process import OperatorProcess
from bench.operator.standins import standing_in
from bench.operator.traffic import Prometheus, Traffic
from stories import BEHAVIOURS, Witness

from serinus.sandbox.client import KubeClient
from serinus.sandbox.informer import Informer
from serinus.sandbox.resources import DEPLOYMENTS, HTTP_ROUTES, NAMESPACES

# Short, so that a killed operator's successor need not wait for long.
LEASE = {
    "SERINUS_LEASE_DURATION": "1500ms",
    "SERINUS_LEASE_RENEW_DEADLINE": "1s",
    "SERINUS_LEASE_RETRY": "250ms",
}


@dataclass(frozen=True, slots=True)
class World:
    client: KubeClient
    witness: Witness
    prometheus: Prometheus
    objects: Informer  # ModelDeployments
    admin: Path  # kubeconfig
    folder: Path  # for files
    namespaces: list[str] = field(default_factory=list)  # that are being deleted

    @asynccontextmanager
    async def operator(self, *namespaces: str, **settings: str) -> AsyncIterator[OperatorProcess]:
        """The operator under its own account, for these namespaces; killed at the end.

        The caller starts it. When it ends by itself it is started again.
        """
        kubeconfig = await cluster.operator_kubeconfig(self.client, self.admin, self.folder)
        own = {
            "SERINUS_NAMESPACES": ",".join(namespaces),
            "SERINUS_PROMETHEUS_URL": self.prometheus.url,
        }
        process = OperatorProcess(kubeconfig, self.log, {**own, **LEASE, **settings})
        keeping = asyncio.create_task(process.keep())
        try:
            yield process
        finally:
            keeping.cancel()
            if process.running:
                process.kill()

    @asynccontextmanager
    async def namespace(self) -> AsyncIterator[str]:
        name = f"test-{uuid.uuid4().hex[:8]}"
        await cluster.make_namespace(self.client, name)
        try:
            yield name
        finally:
            await self.client.delete(NAMESPACES, name)
            self.namespaces.append(name)

    async def cleaned(self) -> None:
        """Every namespace of ours is gone: nothing is still deleted when the next test begins."""
        for name in self.namespaces:

            async def gone(name: str = name) -> bool:
                return await self.client.find(NAMESPACES, name) is None

            await cluster.eventually(f"the namespace {name} is gone", gone, 120, poll=0.5)

    @property
    def log(self) -> Path:
        return self.folder / "operator.log"


@asynccontextmanager
async def a_world(admin: Path, folder: Path) -> AsyncIterator[World]:
    """The cluster of this kubeconfig, made ready for the operator."""
    traffic = Traffic(BEHAVIOURS)
    async with KubeClient.from_kubeconfig(admin) as client, Prometheus(traffic) as prometheus:
        await cluster.install(client)
        routes, objects, deployments = (
            Informer(client, resource) for resource in (HTTP_ROUTES, MODEL_DEPLOYMENTS, DEPLOYMENTS)
        )
        witness = Witness()
        witness.watch(routes, objects)
        routes.on_change(traffic.route_changed)
        deployments.on_change(traffic.deployment_changed)
        node = f"test-{uuid.uuid4().hex[:8]}"
        async with standing_in(client, node, routes), asyncio.TaskGroup() as group:
            watches = [group.create_task(one.run()) for one in (objects, deployments)]
            try:
                world = World(client, witness, prometheus, objects, admin, folder)
                yield world
                await world.cleaned()
            finally:
                for task in watches:
                    task.cancel()
