"""Stand-ins for what a bare control plane lacks: a node with its kubelet, and a Gateway controller.

They say what a real one would say when all is well, as fast as they hear of something to say it of.
No pod runs and no request is routed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serinus.sandbox import clock
from serinus.sandbox.client import KubeClient
from serinus.sandbox.informer import Informer, WorkQueue
from serinus.sandbox.objects import Key, Object, is_deleting, key_of
from serinus.sandbox.resources import HTTP_ROUTES, LEASES, NODES, PODS

HEARTBEAT = 8.0  # seconds; a node is lost after 40 without one
_POD_CONDITIONS = ("Initialized", "Ready", "ContainersReady", "PodScheduled")


class Kubelet:
    """A Node, alive, on which every pod is ready at once and gone at once when it is deleted."""

    def __init__(self, client: KubeClient, name: str) -> None:
        self.name = name
        self.synced = asyncio.Event()
        self._client = client
        self._pods = Informer(client, PODS, field_selector=f"spec.nodeName={name}")
        self._queue = WorkQueue("pod", self._look)
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._client.apply(NODES, {"metadata": {"name": self.name}}, "kubelet")
        room = {"cpu": "4k", "memory": "4Ti", "pods": "10k"}
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "lastHeartbeatTime": clock.stamp(clock.now()),
        }
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        await self._client.merge(NODES, self.name, "", {"status": status}, "status")
        self._pods.on_change(self._changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            group.create_task(self._queue.run())
            group.create_task(self._beat())
            await self._pods.synced.wait()
            self.synced.set()

    async def _beat(self) -> None:
        while True:
            spec = {
                "holderIdentity": self.name,
                "leaseDurationSeconds": 40,
                "renewTime": clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
            body = {"metadata": {"name": self.name, "namespace": "kube-node-lease"}, "spec": spec}
            await self._client.apply(LEASES, body, "kubelet")
            await asyncio.sleep(HEARTBEAT)

    def _changed(self, _: Object | None, after: Object | None) -> None:
        if after is not None:
            self._queue.add(key_of(after))

    async def _look(self, key: Key) -> None:
        pod = self._pods.get(*key)
        if pod is None:
            return
        namespace, name = key
        if is_deleting(pod):
            await self._client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"], grace=0)
        elif not (pod.get("status") or {}).get("podIP"):
            status = {"status": _running(next(self._numbers))}
            self._pods.written(await self._client.merge(PODS, name, namespace, status, "status"))


def _running(number: int) -> Object:
    address = f"10.{128 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": kind, "status": "True"} for kind in _POD_CONDITIONS],
    }


class Gateway:
    """Every HTTPRoute is accepted, at its latest generation, by every parent that it names."""

    def __init__(self, client: KubeClient, routes: Informer) -> None:
        self.synced = routes.synced
        self._client = client
        self._routes = routes
        self._queue = WorkQueue("route", self._look)

    async def run(self) -> None:
        """Serve until cancelled. The informer is the caller's to run."""
        self._routes.on_change(self._changed)
        await self._queue.run()

    def _changed(self, _: Object | None, after: Object | None) -> None:
        if after is not None:
            self._queue.add(key_of(after))

    async def _look(self, key: Key) -> None:
        route = self._routes.get(*key)
        if route is None:
            return
        generation = route["metadata"]["generation"]
        said = (route.get("status") or {}).get("parents") or ()
        known = [c.get("observedGeneration") for one in said for c in one["conditions"]]
        if known and all(number == generation for number in known):
            return
        namespace, name = key
        parents = [_accepted(ref, generation) for ref in route["spec"].get("parentRefs") or ()]
        status = {"status": {"parents": parents}}
        await self._client.merge(HTTP_ROUTES, name, namespace, status, "status")


def _accepted(parent: Object, generation: int) -> Object:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return {"parentRef": parent, "controllerName": "serinus.dev/stand-in", "conditions": conditions}


@asynccontextmanager
async def standing_in(client: KubeClient, node: str, routes: Informer) -> AsyncIterator[None]:
    """Node and Gateway within the block; the Node is deleted at its end."""
    kubelet, gateway = Kubelet(client, node), Gateway(client, routes)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run()) for part in (kubelet, gateway)]
        tasks.append(group.create_task(routes.run()))
        for synced in (kubelet.synced, gateway.synced):
            await synced.wait()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await client.delete(NODES, node)
