"""A cache of one resource, kept by list and watch, and the queue that its changes fill.

Controllers are level-triggered: a change only says *look at this key*; what to do is decided from
the caches. A write's answer goes straight into the cache (``written``), so that the next look never
decides on what our own last write has already changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Generic, TypeVar

from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient
from serinus.sandbox.objects import Key, Object, key_of, uid_of
from serinus.sandbox.resources import Resource

log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)
Handler = Callable[[Object | None, Object | None], None]  # (before, after)

RETRY_SECONDS = 0.2
RETRY_LIMIT = 5.0


def _version(obj: Object) -> int:
    return int(obj["metadata"].get("resourceVersion", "0"))


class Informer:
    """All objects of a resource, as far as the watch has told. Call ``run`` in a task."""

    def __init__(
        self, client: KubeClient, resource: Resource, *, field_selector: str | None = None
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._client = client
        self._fields = field_selector
        self._objects: dict[Key, Object] = {}
        self._handlers: list[Handler] = []
        self._seen = 0  # the watch has told everything up to this resourceVersion

    def get(self, namespace: str, name: str) -> Object | None:
        return self._objects.get((namespace, name))

    def all(self, namespace: str | None = None) -> Iterator[Object]:
        """The objects, of one namespace if it is named. The cache's own: do not change them."""
        for (where, _), obj in list(self._objects.items()):
            if namespace is None or where == namespace:
                yield obj

    def on_change(self, handler: Handler) -> None:
        """Call ``handler(before, after)`` at every change; objects of now count as new."""
        self._handlers.append(handler)
        for obj in self.all():
            handler(None, obj)

    def written(self, obj: Object) -> None:
        """Take the answer to our own create, update or graceful delete."""
        old = self._objects.get(key_of(obj))
        if old is None and _version(obj) <= self._seen:
            return  # the watch has passed it already: it was created and deleted since
        self._store(obj)

    def removed(self, obj: Object) -> None:
        """Take the answer to our own delete of an object that is gone."""
        old = self._objects.get(key_of(obj))
        if old is not None and uid_of(old) == uid_of(obj):
            self._drop(old)

    async def run(self) -> None:
        """List and watch for ever. Trouble is logged once per outage and tried again."""
        delay, told = RETRY_SECONDS, False
        while True:
            try:
                await self._follow(await self._relist())
                delay, told = RETRY_SECONDS, False
                continue
            except ApiError as error:
                if error.expired:
                    continue
                problem: Exception = error
            except ApiUnreachableError as error:
                problem = error
            if not told:
                log.warning("%s: %s; trying again", self.resource.plural, problem)
                told = True
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_LIMIT)

    async def _relist(self) -> str:
        listing = await self._client.list(self.resource, fieldSelector=self._fields)
        present = {key_of(obj) for obj in listing.items}
        self._seen = max(self._seen, int(listing.resource_version))
        for obj in listing.items:
            self._store(obj)
        for key, obj in list(self._objects.items()):
            if key not in present and _version(obj) <= self._seen:
                self._drop(obj)
        self.synced.set()
        return listing.resource_version

    async def _follow(self, version: str) -> None:
        while True:
            events = self._client.watch(self.resource, version, fieldSelector=self._fields)
            async for event in events:
                version = event.object["metadata"]["resourceVersion"]
                self._seen = max(self._seen, int(version))
                if event.type == "DELETED":
                    self._drop(event.object)
                elif event.type != "BOOKMARK":
                    self._store(event.object)

    def _store(self, obj: Object) -> None:
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None and _version(old) >= _version(obj):
            return
        obj.setdefault("apiVersion", self.resource.api_version)
        obj.setdefault("kind", self.resource.kind)
        self._objects[key] = obj
        self._tell(old, obj)

    def _drop(self, obj: Object) -> None:
        old = self._objects.get(key_of(obj))
        if old is None or _version(old) > _version(obj):
            return
        del self._objects[key_of(obj)]
        self._tell(old, None)

    def _tell(self, before: Object | None, after: Object | None) -> None:
        for handler in self._handlers:
            handler(before, after)


class WorkQueue(Generic[Item]):
    """Keys to look at: each at most once at a time, failures again with growing delay."""

    def __init__(self, name: str, work: Callable[[Item], Awaitable[None]]) -> None:
        self._name = name
        self._work = work
        self._queue: asyncio.Queue[Item] = asyncio.Queue()
        self._waiting: set[Item] = set()
        self._failures: dict[Item, int] = {}
        self._timers: dict[Item, asyncio.TimerHandle] = {}

    def add(self, item: Item) -> None:
        """Look at it soon."""
        if item not in self._waiting:
            self._waiting.add(item)
            self._queue.put_nowait(item)

    def add_after(self, item: Item, seconds: float) -> None:
        """Look at it in some seconds; the earliest of several calls counts."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, 0)
        timer = self._timers.get(item)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[item] = loop.call_at(due, self._due, item)

    def _due(self, item: Item) -> None:
        self._timers.pop(item, None)
        self.add(item)

    async def run(self) -> None:
        """Work for ever, one key after the other."""
        while True:
            item = await self._queue.get()
            self._waiting.discard(item)
            try:
                await self._work(item)
                self._failures.pop(item, None)
            except (ApiError, ApiUnreachableError) as error:
                failures = self._failures[item] = self._failures.get(item, 0) + 1
                routine = isinstance(error, ApiError) and error.status in {404, 409}
                level = logging.DEBUG if routine and failures < 5 else logging.WARNING
                log.log(level, "%s %s: %s", self._name, item, error)
                self.add_after(item, min(0.05 * 2 ** min(failures, 8), 10.0))
