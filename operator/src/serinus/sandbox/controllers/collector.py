"""The garbage collector's hands: it watches every collection and does what `garbage` decides."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine
from functools import partial
from typing import Any

from serinus.sandbox import discovery
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient
from serinus.sandbox.controllers import garbage
from serinus.sandbox.informer import Informer, WorkQueue
from serinus.sandbox.objects import (
    Object,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    uid_of,
)
from serinus.sandbox.resources import CRDS, Resource

log = logging.getLogger(__name__)

_UNOWNED = {("", "events"), ("events.k8s.io", "events")}
Item = tuple[str, str, str, str]  # group, plural, namespace, name


class Collector:
    """Deletes what lost its owners, in whatever collections the server has."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._informers: dict[tuple[str, str], Informer] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._dependents: dict[str, set[Item]] = defaultdict(set)
        self._queue: WorkQueue[Item] = WorkQueue("garbage", self._work)
        self._rediscover = asyncio.Event()
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Collect for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discover(group))
            group.create_task(self._queue.run())

    async def _discover(self, group: asyncio.TaskGroup) -> None:
        while True:
            try:
                served = await discovery.collections(self._client)
            except (ApiError, ApiUnreachableError) as error:
                log.warning("discovery: %s", error)
                await asyncio.sleep(1)
                continue
            present = {(resource.group, resource.plural): resource for resource in served}
            for key, resource in present.items():
                if key not in self._informers and key not in _UNOWNED:
                    informer = self._informers[key] = Informer(self._client, resource)
                    informer.on_change(partial(self.changed, resource))
                    self._tasks[key] = group.create_task(informer.run())
            for key in self._informers.keys() - present.keys():
                del self._informers[key]
                self._tasks.pop(key).cancel()
            self._rediscover.clear()
            if not self.synced.is_set():
                for informer in tuple(self._informers.values()):
                    await informer.synced.wait()
                self.synced.set()
            try:
                await asyncio.wait_for(self._rediscover.wait(), timeout=30)
                await asyncio.sleep(0.2)  # a new CRD is served a moment after it is stored
            except TimeoutError:
                pass

    def changed(self, resource: Resource, before: Object | None, after: Object | None) -> None:
        """Note who depends on whom, and look at everything that the change may concern."""
        obj = after or before
        if obj is None:
            return
        item = (resource.group, resource.plural, *key_of(obj))
        for owner in _owners(before) - _owners(after):
            self._dependents[owner].discard(item)
        for owner in _owners(after):
            self._dependents[owner].add(item)
        if after is None or (before is not None and uid_of(before) != uid_of(after)):
            for dependent in self._dependents.get(uid_of(before or obj), ()):
                self._queue.add(dependent)
        if after is None:
            for owner in _owners(before):
                self._look_at_owner(before or obj, owner)
        elif _owners(after) or is_deleting(after):
            self._queue.add(item)
        if (resource.group, resource.plural) == (CRDS.group, CRDS.plural):
            self._rediscover.set()

    def _look_at_owner(self, dependent: Object, uid: str) -> None:
        for ref in dependent["metadata"].get("ownerReferences") or []:
            informer = self._informer_of(ref)
            if ref["uid"] != uid or informer is None:
                continue
            namespace = namespace_of(dependent) if informer.resource.namespaced else ""
            resource = informer.resource
            self._queue.add((resource.group, resource.plural, namespace, ref["name"]))

    def _informer_of(self, reference: Object) -> Informer | None:
        group = reference["apiVersion"].rpartition("/")[0]
        for informer in self._informers.values():
            if (informer.resource.group, informer.resource.kind) == (group, reference["kind"]):
                return informer
        return None

    async def _work(self, item: Item) -> None:
        informer = self._informers.get(item[:2])
        obj = informer.get(item[2], item[3]) if informer is not None else None
        if informer is None or obj is None:
            return
        await self._as_dependent(informer, obj)
        await self._as_owner(informer, obj)

    async def _as_dependent(self, informer: Informer, obj: Object) -> None:
        gone = {
            ref["uid"]
            for ref in obj["metadata"].get("ownerReferences") or []
            if not await self._exists(obj, ref)
        }
        resource, name, namespace = informer.resource, name_of(obj), namespace_of(obj)
        match garbage.for_dependent(obj, lambda ref: ref["uid"] not in gone):
            case garbage.DeleteIt(policy):
                log.info("deleting %s %s/%s: no owner left", resource.plural, namespace, name)
                await _unless_gone(
                    self._client.delete(resource, name, namespace, uid=uid_of(obj), policy=policy)
                )
            case garbage.KeepOwners(references):
                await self._patch(informer, obj, {"ownerReferences": list(references)})

    async def _exists(self, dependent: Object, reference: Object) -> bool:
        """Whether the owner is there; the cache may say yes, only the server may say no."""
        informer = self._informer_of(reference)
        if informer is None:
            # A kind that nobody serves (any more). Deleting on a guess would be worse.
            return True
        namespace = namespace_of(dependent) if informer.resource.namespaced else ""
        cached = informer.get(namespace, reference["name"])
        if cached is not None and uid_of(cached) == reference["uid"]:
            return True
        live = await self._client.find(informer.resource, reference["name"], namespace)
        return live is not None and uid_of(live) == reference["uid"]

    async def _as_owner(self, informer: Informer, owner: Object) -> None:
        if not is_deleting(owner):
            return
        found = self._found_dependents(uid_of(owner))
        informers = {uid_of(obj): where for where, obj in found}
        match garbage.for_owner(owner, [obj for _, obj in found]):
            case garbage.ReleaseDependents(dependents):
                for obj in dependents:
                    rest = garbage.without_owner(obj, uid_of(owner))
                    await self._patch(informers[uid_of(obj)], obj, {"ownerReferences": rest})
                await self._release(informer, owner, garbage.ORPHAN)
            case garbage.DeleteDependents(dependents, release):
                for obj in dependents:
                    has_own = bool(self._dependents.get(uid_of(obj)))
                    await _unless_gone(
                        self._client.delete(
                            informers[uid_of(obj)].resource,
                            name_of(obj),
                            namespace_of(obj),
                            uid=uid_of(obj),
                            policy="Foreground" if has_own else "Background",
                        )
                    )
                if release:
                    await self._release(informer, owner, garbage.FOREGROUND)

    def _found_dependents(self, uid: str) -> list[tuple[Informer, Object]]:
        found = []
        for group, plural, namespace, name in tuple(self._dependents.get(uid, ())):
            informer = self._informers.get((group, plural))
            obj = informer.get(namespace, name) if informer is not None else None
            if informer is not None and obj is not None:
                found.append((informer, obj))
        return found

    async def _release(self, informer: Informer, owner: Object, finalizer: str) -> None:
        rest = garbage.without_finalizer(owner, finalizer)
        await self._patch(informer, owner, {"finalizers": rest})

    async def _patch(self, informer: Informer, obj: Object, change: Object) -> None:
        pinned = {"uid": uid_of(obj), "resourceVersion": obj["metadata"]["resourceVersion"]}
        await _unless_gone(
            self._client.merge(
                informer.resource, name_of(obj), namespace_of(obj), {"metadata": pinned | change}
            )
        )


def _owners(obj: Object | None) -> set[str]:
    if obj is None:
        return set()
    return {ref["uid"] for ref in obj["metadata"].get("ownerReferences") or []}


async def _unless_gone(write: Coroutine[Any, Any, Object | None]) -> None:
    """Await a write whose object may be gone or another by now: then there is nothing to do."""
    try:
        await write
    except ApiError as error:
        if not error.not_found:
            raise
