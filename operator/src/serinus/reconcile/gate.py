"""Never decides on a view of the world that has not seen our own last write.

Reads are meant to be fresh, but a lagging replica of the API server, a proxy or a cache in between may
still answer with the past. Whoever reads through the gate gets :class:`Stale` then, and looks again.

Versions of one object are compared as integers, which Kubernetes promises to allow since 1.35 and
every version before does in fact. Where one is no number, the gate lets pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serinus.ports import Kind, KubeApi, Manifest, Ref, Stale

REMEMBERED = 180.0  # seconds; no view of the world is older than that
MISSING = 5.0  # seconds after a write during which the object must not be missing
MOST = 20_000  # writes remembered


@dataclass(frozen=True, slots=True)
class _Written:
    """Our last write to one object.

    Attributes:
        version: what it became; None: we deleted it.
        number: of the write, in the order in which answers came.
    """

    uid: str
    version: int | None
    labels: Mapping[str, str]
    at: float
    number: int


class Gate:
    """A KubeApi whose reads raise :class:`Stale` when they are older than our own writes.

    Args:
        most: how many writes are remembered; the oldest are forgotten first.
    """

    def __init__(self, inner: KubeApi, most: int = MOST) -> None:
        self._inner = inner
        self._most = most
        self._writes: dict[tuple[str, str], dict[tuple[str, str], _Written]] = {}
        self._order: dict[Ref, None] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._order)

    async def get(self, ref: Ref) -> Manifest | None:
        asked = self._number
        found = await self._inner.get(ref)
        written = self._expected(ref)
        if written is not None and written.number <= asked:
            self._compare(ref.kind, ref.name, written, found)
        return found

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        asked = self._number
        items = await self._inner.list(kind, namespace, labels)
        writes = self._writes.get((kind.group, kind.plural))
        if not writes:
            return items
        self._expire()
        shown = {(i["metadata"]["namespace"], i["metadata"]["name"]): i for i in items}
        for where, written in writes.items():
            if written.number > asked or (namespace is not None and where[0] != namespace):
                continue
            found = shown.get(where)
            if found is None and not labels.items() <= written.labels.items():
                continue  # it was not asked for
            self._compare(kind, where[1], written, found)
        return items

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        return self._wrote(ref, await self._inner.patch(ref, patch, subresource))

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        return self._wrote(ref, await self._inner.create(ref, manifest))

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        await self._inner.delete(ref, uid, resource_version)
        self._remember(ref, uid, None, {})

    def gone(self, ref: Ref, uid: str) -> None:
        """A watch has seen the end of this object: that it is missing from now on is no stale view."""
        written = self._expected(ref)
        if written is not None and written.uid == uid and written.version is not None:
            self._forget(ref)

    def _wrote(self, ref: Ref, made: Manifest) -> Manifest:
        meta = made.get("metadata") or {}
        version = _number(meta.get("resourceVersion"))
        if ref.name and version is not None:  # without a name it is an Event, which nobody reads
            known = self._expected(ref)
            if known is None or known.version is None or known.version <= version:
                self._remember(ref, str(meta.get("uid", "")), version, meta.get("labels") or {})
        return made

    def _remember(self, ref: Ref, uid: str, version: int | None, labels: Mapping[str, str]) -> None:
        self._forget(ref)
        self._number += 1
        at = asyncio.get_running_loop().time()
        writes = self._writes.setdefault((ref.kind.group, ref.kind.plural), {})
        writes[ref.namespace, ref.name] = _Written(uid, version, labels, at, self._number)
        self._order[ref] = None
        self._expire()

    def _expected(self, ref: Ref) -> _Written | None:
        self._expire()
        return self._writes.get((ref.kind.group, ref.kind.plural), {}).get(
            (ref.namespace, ref.name)
        )

    def _expire(self) -> None:
        """Forgets the oldest; they are in the order of their time."""
        before = asyncio.get_running_loop().time() - REMEMBERED
        while self._order:
            ref = next(iter(self._order))
            written = self._writes[ref.kind.group, ref.kind.plural][ref.namespace, ref.name]
            if written.at > before and len(self._order) <= self._most:
                return
            self._forget(ref)

    def _forget(self, ref: Ref) -> None:
        if ref in self._order:
            del self._order[ref]
            del self._writes[ref.kind.group, ref.kind.plural][ref.namespace, ref.name]

    def _compare(self, kind: Kind, name: str, written: _Written, found: Manifest | None) -> None:
        """Raises Stale when ``found`` is from before the write."""
        if found is None:
            # Somebody may have deleted it since: that is believed, but not in the first moments.
            age = asyncio.get_running_loop().time() - written.at
            if written.version is not None and age < MISSING:
                raise Stale(0, "Stale", f"{kind.kind} {name} is missing, and we have written it")
            return
        meta = found["metadata"]
        if written.version is None:
            if meta.get("uid") == written.uid and "deletionTimestamp" not in meta:
                raise Stale(0, "Stale", f"{kind.kind} {name} is there, and we have deleted it")
            return
        version = _number(meta.get("resourceVersion"))
        if version is not None and version < written.version:
            text = f"{kind.kind} {name} is shown as of {version}, and we have written {written.version}"
            raise Stale(0, "Stale", text)


def _number(version: object) -> int | None:
    text = str(version)
    return int(text) if text.isascii() and text.isdecimal() else None
