"""Objects, their revisions and their watchers: what etcd and the watch cache are to Kubernetes.

Single-threaded and synchronous, so every operation is atomic. Stored objects are never changed in
place; whoever reads one must copy it before editing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from serinus.sandbox.apiserver.errors import expired
from serinus.sandbox.apiserver.resources import GroupResource

Object: TypeAlias = dict[str, Any]
ObjectKey: TypeAlias = tuple[str, str]  # (namespace or "", name)


@dataclass(frozen=True, slots=True)
class Change:
    """One commit: ``before`` is None for a creation, ``after`` is None for a removal."""

    revision: int
    resource: GroupResource
    before: Object | None
    after: Object | None
    last: Object  # the state to show: ``after``, or the removed object at this revision


class Watcher:
    """A queue of changes of one resource, from a revision on."""

    def __init__(self, close: Callable[[Watcher], None]) -> None:
        self._pending: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._close = close

    def push(self, change: Change) -> None:
        """Append a change; called by the store."""
        self._pending.append(change)
        self._wake.set()

    async def next(self, timeout: float) -> Change | None:  # noqa: ASYNC109
        """Return the next change, or None after ``timeout`` seconds without one."""
        if not self._pending:
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return None
        change = self._pending.popleft()
        if not self._pending:
            self._wake.clear()
        return change

    @property
    def idle(self) -> bool:
        """Whether everything so far was taken."""
        return not self._pending

    def close(self) -> None:
        """Stop receiving changes."""
        self._close(self)


class Store:
    """All objects of the cluster."""

    def __init__(self, history: int = 20_000) -> None:
        self.revision = 1
        self.compacted = 1  # watches from before this revision are refused
        self._objects: dict[GroupResource, dict[ObjectKey, Object]] = {}
        self._history: deque[Change] = deque()
        self._history_limit = history
        self._watchers: dict[GroupResource, set[Watcher]] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def get(self, resource: GroupResource, namespace: str, name: str) -> Object | None:
        """Return the stored object; do not edit it."""
        return self._objects.get(resource, {}).get((namespace, name))

    def objects(self, resource: GroupResource, namespace: str | None = None) -> Iterator[Object]:
        """Yield the objects of a resource in order of namespace and name."""
        objects = self._objects.get(resource, {})
        for key in sorted(objects):
            if namespace is None or key[0] == namespace:
                yield objects[key]

    def put(self, resource: GroupResource, obj: Object) -> Object:
        """Create or replace; gives ``obj`` the next resourceVersion and tells the watchers."""
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        before = self._objects.get(resource, {}).get(key)
        self.revision += 1
        metadata["resourceVersion"] = str(self.revision)
        self._objects.setdefault(resource, {})[key] = obj
        self._commit(Change(self.revision, resource, before, obj, obj))
        return obj

    def remove(self, resource: GroupResource, namespace: str, name: str) -> Object:
        """Remove an object and return its last state, at the revision of its removal."""
        before = self._objects[resource].pop((namespace, name))
        self.revision += 1
        last = {
            **before,
            "metadata": {**before["metadata"], "resourceVersion": str(self.revision)},
        }
        self._commit(Change(self.revision, resource, before, None, last))
        return last

    def watch(self, resource: GroupResource, since: int | None) -> Watcher:
        """Return a watcher of changes after revision ``since`` (None: from now on).

        Raises:
            ApiError: 410 when that history is gone.
        """
        watcher = Watcher(self._unwatch)
        if since is not None:
            if since < self.compacted:
                raise expired(since, self.compacted)
            for change in self._since(resource, since):
                watcher.push(change)
        self._watchers.setdefault(resource, set()).add(watcher)
        return watcher

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` right after every commit; for the server's own bookkeeping."""
        self._listeners.append(listener)

    def compact(self) -> None:
        """Forget the history, so that watches from older revisions get 410."""
        self._history.clear()
        self.compacted = self.revision

    def counts(self) -> Mapping[GroupResource, int]:
        """Return how many objects there are per resource."""
        return {resource: len(objects) for resource, objects in self._objects.items() if objects}

    def _since(self, resource: GroupResource, revision: int) -> list[Change]:
        changes = []
        for change in reversed(self._history):
            if change.revision <= revision:
                break
            if change.resource == resource:
                changes.append(change)
        return changes[::-1]

    def _commit(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > self._history_limit:
            self.compacted = self._history.popleft().revision
        for watcher in self._watchers.get(change.resource, ()):
            watcher.push(change)
        for listener in self._listeners:
            listener(change)

    def _unwatch(self, watcher: Watcher) -> None:
        for watchers in self._watchers.values():
            watchers.discard(watcher)
