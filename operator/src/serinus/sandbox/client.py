"""A small asynchronous Kubernetes client, shared by the sandbox's parts.

The parts speak to the API server only through this, so each of them also works with a real one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from serinus.sandbox import kubeconfig
from serinus.sandbox.objects import Object
from serinus.sandbox.resources import Resource

REQUEST_TIMEOUT = 15.0  # seconds
WATCH_SECONDS = 290  # the server ends a watch by then; we start the next one

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"  # JSON is YAML


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        return self.status == 409

    @property
    def expired(self) -> bool:
        """The resourceVersion is too old to watch from: list again."""
        return self.status == 410


class ApiUnreachableError(Exception):
    """The API server gave no answer, or not an understandable one."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: ADDED, MODIFIED, DELETED or BOOKMARK and the object."""

    type: str
    object: Object


@dataclass(frozen=True, slots=True)
class Listing:
    """A list and the resourceVersion from which a watch continues it."""

    items: tuple[Object, ...]
    resource_version: str


class KubeClient:
    """Requests to one API server; use it as an async context manager.

    Every method raises ApiError when the server refuses and ApiUnreachableError when it cannot be
    reached or does not answer in time.
    """

    def __init__(self, connection: kubeconfig.Connection) -> None:
        self._connection = connection
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path) -> KubeClient:
        return cls(kubeconfig.load(path))

    async def __aenter__(self) -> Self:
        headers = {"Accept": "application/json"}
        if self._connection.token:
            headers["Authorization"] = f"Bearer {self._connection.token}"
        self._session = aiohttp.ClientSession(
            base_url=self._connection.url + "/",
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
            connector=aiohttp.TCPConnector(limit=0, ssl=self._connection.tls or True),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        return await self._request("GET", resource.path(namespace, name))

    async def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """Like get, but None for an object that is not there."""
        try:
            return await self.get(resource, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self, resource: Resource, namespace: str = "", **selectors: str | None
    ) -> Listing:
        """List objects; selectors are labelSelector and fieldSelector."""
        query = {k: v for k, v in selectors.items() if v}
        body = await self._request("GET", resource.path(namespace), query=query)
        items = body.get("items") or []
        for item in items:  # a list leaves them out of its items
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return Listing(tuple(items), body["metadata"]["resourceVersion"])

    async def create(self, resource: Resource, body: Object) -> Object:
        namespace = body["metadata"].get("namespace", "")
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self._request("POST", resource.path(namespace), body=full)

    async def create_sub(
        self, resource: Resource, name: str, namespace: str, sub: str, body: Object
    ) -> Object:
        """POST to a subresource, for example a pod's binding."""
        return await self._request("POST", resource.path(namespace, name, sub), body=body)

    async def merge(
        self, resource: Resource, name: str, namespace: str, patch: Object, sub: str = ""
    ) -> Object:
        """JSON merge patch of an object or of its subresource."""
        path = resource.path(namespace, name, sub)
        return await self._request("PATCH", path, body=patch, content_type=MERGE)

    async def apply(self, resource: Resource, body: Object, manager: str, sub: str = "") -> Object:
        """Server-side apply; conflicts are resolved for us (force)."""
        meta = body["metadata"]
        path = resource.path(meta.get("namespace", ""), meta["name"], sub)
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        query = {"fieldManager": manager, "force": "true"}
        return await self._request("PATCH", path, body=full, content_type=APPLY, query=query)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str | None = None,
        grace: int | None = None,
        policy: str | None = None,
    ) -> Object | None:
        """Delete; None if it was not there. ``grace`` is seconds, ``policy`` propagation."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if policy is not None:
            options["propagationPolicy"] = policy
        try:
            return await self._request("DELETE", resource.path(namespace, name), body=options)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def raw(self, path: str) -> Object:
        """GET of any path that answers with JSON, for example discovery."""
        return await self._request("GET", path)

    async def watch(
        self,
        resource: Resource,
        version: str,
        namespace: str = "",
        **selectors: str | None,
    ) -> AsyncIterator[WatchEvent]:
        """Events after ``version``, until the server ends the watch. ApiError 410: list again."""
        query = {k: v for k, v in selectors.items() if v} | {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(sock_connect=5, sock_read=WATCH_SECONDS + 15)
        try:
            async with self._open().get(
                resource.path(namespace).lstrip("/"), params=query, timeout=timeout
            ) as response:
                if response.status != 200:
                    raise _error(response.status, await response.read())
                async for line in _lines(response):
                    yield _event(line)
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as error:
            raise ApiUnreachableError(f"watch of {resource.plural}: {error!r}") from error

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            async with self._open().request(
                method, path.lstrip("/"), data=data, params=query, headers=headers
            ) as response:
                payload = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiUnreachableError(f"{method} {path}: {error!r}") from error
        if response.status >= 300:
            raise _error(response.status, payload)
        try:
            answer = json.loads(payload)
        except ValueError as error:
            raise ApiUnreachableError(f"{method} {path}: the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ApiUnreachableError(f"{method} {path}: the answer is not an object")
        return answer

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("KubeClient is used outside of its async context")
        return self._session


def _error(status: int, payload: bytes) -> ApiError:
    try:
        body: Any = json.loads(payload)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return ApiError(status, "Unknown", payload[:300].decode(errors="replace"))
    return ApiError(status, body.get("reason") or "Unknown", body.get("message") or "")


def _event(line: bytes) -> WatchEvent:
    entry = json.loads(line)
    if entry["type"] == "ERROR":
        status = entry["object"]
        raise ApiError(
            int(status.get("code", 500)), status.get("reason", ""), status.get("message", "")
        )
    return WatchEvent(entry["type"], entry["object"])


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line


async def wait_until_serving(client: KubeClient, seconds: float) -> None:
    """Wait for the API server to answer. Raises ApiUnreachableError after ``seconds``."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        try:
            await client.raw("/api/v1")
        except ApiUnreachableError:
            if loop.time() > end:
                raise
            await asyncio.sleep(0.05)
        else:
            return
