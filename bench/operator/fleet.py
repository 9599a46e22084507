"""Many ModelDeployments in a cluster whose controllers are stood in for, and what becomes of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.operator import cluster
from bench.operator.cluster import MODEL_DEPLOYMENTS, eventually
from bench.operator.controllers import Controllers, slices_resource
from bench.operator.standins import Gateway
from bench.operator.traffic import Prometheus, Traffic
from serinus.api import names
from serinus.sandbox.client import KubeClient
from serinus.sandbox.informer import Informer
from serinus.sandbox.objects import Key, Object, condition_is_true, key_of
from serinus.sandbox.resources import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    NAMESPACES,
    SERVICES,
    Resource,
)

PER_NAMESPACE = 50
_AT_ONCE = 8  # requests of ours in flight
_REQUESTS = 1000.0  # per second and model, that nobody sends


@dataclass
class Fleet:
    """The resources, by key, and their latest versions."""

    client: KubeClient
    admin: Path  # kubeconfig
    objects: Informer
    prometheus_url: str
    folder: Path  # for the models
    keys: list[Key] = field(default_factory=list)
    # A new one every time: without a controller manager, deleted namespaces never end.
    prefix: str = field(default_factory=lambda: f"bench-{uuid.uuid4().hex[:6]}-")

    async def grow(self, size: int) -> None:
        """Creates resources until there are ``size``."""
        new = [self._key(number) for number in range(len(self.keys), size)]
        for namespace in sorted({key[0] for key in new}):
            await cluster.make_namespace(self.client, namespace)

        uri = self.model("first")

        async def create(key: Key) -> None:
            await self.client.create(MODEL_DEPLOYMENTS, _object(key, uri))

        await self._each(new, create)
        self.keys += new

    def model(self, name: str) -> str:
        """URI of the model of that name, which differs from all others."""
        place = self.folder / name
        if not place.exists():
            place.mkdir()
            (place / "MLmodel").write_text(f"flavors: {{}}\n# {name}\n")
        return f"file://{place}"

    async def change(self, keys: Sequence[Key], spec: Object) -> None:
        """Merges ``spec`` into that of each."""

        async def merge(key: Key) -> None:
            await self.client.merge(MODEL_DEPLOYMENTS, key[1], key[0], {"spec": spec})

        await self._each(keys, merge)

    async def seconds_until(
        self, what: str, keys: Sequence[Key], true: Callable[[Object], bool], limit: float
    ) -> list[float]:
        """For each of them, seconds from now until it is first seen so, in the order of the events.

        Raises:
            NotInTimeError: one was not within ``limit`` seconds.
        """
        began = time.monotonic()
        waiting, took = set(keys), list[float]()

        def look(_: Object | None, after: Object | None) -> None:
            if after is not None and key_of(after) in waiting and true(after):
                waiting.discard(key_of(after))
                took.append(time.monotonic() - began)

        self.objects.on_change(look)

        async def done() -> bool:
            return not waiting

        await eventually(f"{len(keys)} resources are {what}", done, limit, poll=0.05)
        return took

    async def clean(self, kinds: Sequence[Resource]) -> None:
        """Deletes what is in our namespaces, one by one: no garbage collector runs."""
        for resource in kinds:
            for item in (await self.client.list(resource)).items:
                namespace, name = key_of(item)
                if namespace.startswith(self.prefix):
                    await self.client.delete(resource, name, namespace)
        for namespace in sorted({key[0] for key in self.keys}):
            await self.client.delete(NAMESPACES, namespace)

    def _key(self, number: int) -> Key:
        place, rest = divmod(number, PER_NAMESPACE)
        return f"{self.prefix}{place:03}", f"model-{rest:03}"

    async def _each(self, keys: Sequence[Key], act: Callable[[Key], object]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(key: Key) -> None:
            async with turns:
                await act(key)  # type: ignore[misc]

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(one(key))


def observed(obj: Object) -> bool:
    """The latest spec has been looked at."""
    seen = (obj.get("status") or {}).get("observedGeneration")
    return bool(seen == obj["metadata"]["generation"])


def ready(obj: Object) -> bool:
    return observed(obj) and condition_is_true(obj, "Ready")


def serving(uri: str) -> Callable[[Object], bool]:
    """Whether the model ``uri`` has all traffic."""

    def check(obj: Object) -> bool:
        status = obj.get("status") or {}
        stable = status.get("stable") or {}
        return stable.get("modelURI") == uri and "canary" not in status

    return check


@asynccontextmanager
async def a_fleet(client: KubeClient, admin: Path, folder: Path) -> AsyncIterator[Fleet]:
    """No resources yet, with Gateway, Prometheus and controllers; what is left goes at the end."""
    routes, objects, deployments = (
        Informer(client, resource) for resource in (HTTP_ROUTES, MODEL_DEPLOYMENTS, DEPLOYMENTS)
    )
    traffic = Traffic({}, _REQUESTS)
    routes.on_change(traffic.route_changed)
    deployments.on_change(traffic.deployment_changed)
    slices = await slices_resource(client)
    parts = (Gateway(client, routes), Controllers(client, deployments, slices))
    async with Prometheus(traffic) as prometheus, asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run()) for one in (routes, objects, deployments, *parts)]
        for informer in (routes, objects, deployments):
            await informer.synced.wait()
        fleet = Fleet(client, admin, objects, prometheus.url, folder)
        try:
            yield fleet
        finally:
            for task in tasks:
                task.cancel()
            await fleet.clean((MODEL_DEPLOYMENTS, HTTP_ROUTES, DEPLOYMENTS, SERVICES, slices))


def _object(key: Key, uri: str) -> Object:
    """As a user would write it, with the defaults' intervals and 20 s instead of minutes per step."""
    steps = [{"weight": weight, "hold": "20s"} for weight in (5, 25, 50)]
    traffic = {"hostnames": [f"{key[1]}.{key[0]}.example.com"]}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": key[1], "namespace": key[0]},
        "spec": {"model": {"uri": uri}, "traffic": traffic, "rollout": {"steps": steps}},
    }
