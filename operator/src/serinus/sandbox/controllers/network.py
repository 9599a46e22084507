"""The hands of Services: they write the EndpointSlices that `endpoints` decides."""

from __future__ import annotations

import asyncio

from serinus.sandbox import discovery
from serinus.sandbox.client import KubeClient
from serinus.sandbox.controllers import endpoints
from serinus.sandbox.informer import Informer, WorkQueue
from serinus.sandbox.objects import Key, Object, key_of, labels_of, name_of, uid_of
from serinus.sandbox.resources import ENDPOINT_SLICES, SERVICES
from serinus.sandbox.statuses import same


class Network:
    """Service + pods -> EndpointSlices."""

    def __init__(self, client: KubeClient, pods: Informer) -> None:
        self._client = client
        self._pods = pods
        self._services = Informer(client, SERVICES)
        self._written: dict[Key, tuple[str, Object]] = {}
        self.synced = asyncio.Event()
        self._queue = WorkQueue("service", self._work)

    async def run(self) -> None:
        """Work for ever, once all caches are filled."""
        served = await discovery.as_served(self._client, ENDPOINT_SLICES)
        self._slices = Informer(self._client, served)
        watched = (self._services, self._slices)
        async with asyncio.TaskGroup() as group:
            for informer in watched:
                group.create_task(informer.run())
            for informer in (*watched, self._pods):
                await informer.synced.wait()
            self._services.on_change(lambda old, new: self._queue.add(key_of(new or old or {})))
            self._slices.on_change(self._slice_changed)
            self._pods.on_change(self._pod_changed)
            group.create_task(self._queue.run())
            self.synced.set()

    def _slice_changed(self, before: Object | None, after: Object | None) -> None:
        for obj in (before, after):
            if obj is not None and (name := labels_of(obj).get(endpoints.SERVICE_NAME)):
                self._queue.add((key_of(obj)[0], name))

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        for pod in (before, after):
            if pod is None:
                continue
            for service in self._services.all(key_of(pod)[0]):
                if endpoints.selects(service, pod):
                    self._queue.add(key_of(service))

    async def _work(self, key: Key) -> None:
        service = self._services.get(*key)
        if service is None:
            return  # its slices have an owner reference
        if not service["spec"].get("selector"):
            return
        pods = [pod for pod in self._pods.all(key[0]) if endpoints.selects(service, pod)]
        wanted = endpoints.slices(service, pods)
        for body in wanted:
            await self._write(body)
        names = {name_of(body) for body in wanted}
        for old in self._slices_of(service):
            if name_of(old) not in names:
                resource = self._slices.resource
                await self._client.delete(resource, name_of(old), key[0], uid=uid_of(old))

    def _slices_of(self, service: Object) -> list[Object]:
        mine = {
            endpoints.SERVICE_NAME: name_of(service),
            endpoints.MANAGED_BY: endpoints.MANAGER,
        }
        return [
            obj
            for obj in self._slices.all(key_of(service)[0])
            if mine.items() <= labels_of(obj).items()
        ]

    async def _write(self, body: Object) -> None:
        key = key_of(body)
        cache, old = self._slices, self._slices.get(*key)
        if old is None:
            answer = await self._client.create(cache.resource, body)
        else:
            labels, before = labels_of(body), labels_of(old)
            content = {"endpoints": body["endpoints"], "ports": body["ports"]}
            if before == labels and same(old, content):
                return
            if self._written.get(key) == (_version(old), body):
                return
            gone = dict.fromkeys(before.keys() - labels.keys())
            change = {"metadata": {"labels": labels | gone}, **content}
            answer = await self._client.merge(cache.resource, key[1], key[0], change)
        # An older server drops conditions that it does not know: what it kept is no difference.
        self._written[key] = (_version(answer), body)
        cache.written(answer)


def _version(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])
