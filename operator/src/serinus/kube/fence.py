"""Refuses writes that this process is no longer entitled to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from serinus.ports import Kind, KubeApi, Manifest, Ref


class Deposed(Exception):
    """Another operator may lead by now. No :class:`ApiError`: nobody is to retry, the process ends."""


class FencedKube:
    """A KubeApi that writes only while ``entitled`` says so; reads go through.

    It cannot stop a write that is on its way when the time is up: that one meets the compare-and-set
    on the object.
    """

    def __init__(self, inner: KubeApi, entitled: Callable[[], bool]) -> None:
        self._inner = inner
        self._entitled = entitled

    async def get(self, ref: Ref) -> Manifest | None:
        return await self._inner.get(ref)

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        return await self._inner.list(kind, namespace, labels)

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        self._check("patch", ref)
        return await self._inner.patch(ref, patch, subresource)

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        self._check("create", ref)
        return await self._inner.create(ref, manifest)

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        self._check("delete", ref)
        await self._inner.delete(ref, uid, resource_version)

    def _check(self, verb: str, ref: Ref) -> None:
        if not self._entitled():
            what = f"{verb} {ref.kind.plural} {ref.namespace}/{ref.name}"
            raise Deposed(f"the Lease was not renewed in time: refused to {what}")
