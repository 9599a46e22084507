"""Tells of every request to the Kubernetes API: what was asked, how it ended, how long it took."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol, TypeVar

from serinus.ports import ApiError, Kind, KubeApi, Manifest, Ref

T = TypeVar("T")


class Meter(Protocol):
    def __call__(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """One request: its verb of the port, plural[/subresource], HTTP status or reason."""


class MeteredKube:
    """A KubeApi that reports to a meter. A cancelled request is reported as ``Cancelled``."""

    def __init__(self, inner: KubeApi, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def get(self, ref: Ref) -> Manifest | None:
        return await self._timed("get", ref.kind.plural, self._inner.get(ref))

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        return await self._timed("list", kind.plural, self._inner.list(kind, namespace, labels))

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        what = f"{ref.kind.plural}/{subresource}" if subresource else ref.kind.plural
        return await self._timed("patch", what, self._inner.patch(ref, patch, subresource))

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        return await self._timed("create", ref.kind.plural, self._inner.create(ref, manifest))

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        await self._timed("delete", ref.kind.plural, self._inner.delete(ref, uid, resource_version))

    async def _timed(self, verb: str, resource: str, request: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        began, code = loop.time(), "200"
        try:
            return await request
        except ApiError as e:
            code = str(e.status) if e.status else e.reason
            raise
        except asyncio.CancelledError:
            code = "Cancelled"
            raise
        except BaseException as e:
            code = type(e).__name__
            raise
        finally:
            self._meter(verb, resource, code, loop.time() - began)
