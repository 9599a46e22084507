"""Endpoints below an object other than status: scale, log, binding, token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from serinus.sandbox.apiserver import errors, wire
from serinus.sandbox.apiserver.credentials import Tokens, service_account_user
from serinus.sandbox.apiserver.decoding import json_change
from serinus.sandbox.apiserver.handlers import namespace_of
from serinus.sandbox.apiserver.jsonpath import compile_path
from serinus.sandbox.apiserver.options import rfc3339
from serinus.sandbox.apiserver.requests import RequestInfo
from serinus.sandbox.apiserver.resources import Resource, Scale
from serinus.sandbox.apiserver.schema import clone
from serinus.sandbox.apiserver.store import Object
from serinus.sandbox.apiserver.verbs import Verbs

Subhandler: TypeAlias = Callable[
    [web.Request, RequestInfo, Resource], Awaitable[web.StreamResponse]
]

LOG_FILE = "sandbox.serinus.dev/log-file"  # annotation on pods, written by the node
_PODS = ("", "pods")
_SCALE = Resource("autoscaling", "v1", "Scale", "scales", "scale", custom=False)
_POLL_SECONDS = 0.2
_CHUNK = 64 * 1024
# Real servers have these; here they would need a container runtime or an eviction API.
_UNKNOWN = {"attach", "ephemeralcontainers", "eviction", "exec", "finalize", "portforward",
            "proxy", "resize"}  # fmt: skip


class Subresources:
    """Finds and runs the handler of a subresource."""

    def __init__(self, verbs: Verbs, tokens: Tokens) -> None:
        self._verbs = verbs
        self._tokens = tokens

    def find(self, info: RequestInfo, resource: Resource) -> Subhandler:
        """Return the handler of ``info.subresource``.

        Raises:
            ApiError: 404, 405, or 501 for what only real servers have.
        """
        name, verb = info.subresource, info.verb
        if name == "scale" and resource.scale is not None:
            return self._only(verb, {"get": self._scale, "update": self._set_scale,
                                     "patch": self._patch_scale})  # fmt: skip
        if resource.key == _PODS and name == "log":
            return self._only(verb, {"get": self._log})
        if resource.key == _PODS and name == "binding":
            return self._only(verb, {"create": self._bind})
        if resource.key == ("", "serviceaccounts") and name == "token":
            return self._only(verb, {"create": self._token})
        if name in _UNKNOWN and not resource.custom:
            raise errors.not_implemented(f"{resource.plural}/{name}")
        raise errors.no_such_path()

    @staticmethod
    def _only(verb: str, handlers: dict[str, Subhandler]) -> Subhandler:
        if verb not in handlers:
            raise errors.method_not_allowed()
        return handlers[verb]

    # Scale

    async def _scale(
        self, _: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        found = self._verbs.get(resource, namespace_of(info, resource), info.name)
        return wire.json_response(scale_of(resource, found))

    async def _set_scale(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        wanted = await wire.read_object(request)
        return self._write_scale(request, info, resource, lambda _: wanted)

    async def _patch_scale(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        change = json_change(request.content_type, _SCALE)
        document = await wire.read_document(request)
        return self._write_scale(request, info, resource, lambda scale: change(scale, document))

    def _write_scale(
        self,
        request: web.Request,
        info: RequestInfo,
        resource: Resource,
        change: Callable[[Object], Object],
    ) -> web.StreamResponse:
        write = wire.write_options(request, info)

        def rescale(live: Object) -> Object:
            scale = change(scale_of(resource, live))
            replicas = (scale.get("spec") or {}).get("replicas", 0)
            if not isinstance(replicas, int) or replicas < 0:
                why = f"Invalid value: {replicas}: must be greater than or equal to 0"
                cause = errors.Cause("spec.replicas", "FieldValueInvalid", why)
                raise errors.invalid("Scale", "autoscaling", info.name, [cause])
            return _with_replicas(resource, live, scale, replicas)

        namespace = namespace_of(info, resource)
        after = self._verbs.patch(resource, namespace, info.name, rescale, write)
        return wire.json_response(scale_of(resource, after), 200, write.warnings)

    # Pods

    async def _bind(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        binding = await wire.read_object(request)
        node = (binding.get("target") or {}).get("name")
        if not node:
            raise errors.bad_request("a binding needs target.name, the node")

        def assign(live: Object) -> Object:
            if live["spec"].get("nodeName"):
                why = f'pod {info.name} is already assigned to node "{live["spec"]["nodeName"]}"'
                raise errors.conflict("pods/binding", "", info.name, why)
            pod = clone(live)
            pod["spec"]["nodeName"] = node
            return pod

        write = wire.write_options(request, info)
        self._verbs.patch(resource, info.namespace, info.name, assign, write)
        return wire.json_response(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "code": 201,
            },
            201,
        )

    async def _log(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        for parameter in ("previous", "timestamps"):
            if wire.is_true(request, parameter):
                raise errors.bad_request(f"the sandbox does not keep {parameter} of logs")
        for parameter in ("sinceSeconds", "sinceTime"):
            if request.query.get(parameter):
                raise errors.bad_request(f"the sandbox's logs do not know {parameter}")
        pod = self._verbs.get(resource, info.namespace, info.name)
        path = _log_path(pod, request.query.get("container", ""))
        if not await asyncio.to_thread(path.is_file):
            raise errors.bad_request(f"the log of pod {info.name} is not there: {path}")
        tail = request.query.get("tailLines")
        limit = request.query.get("limitBytes")
        lines = int(tail) if tail and tail.isdigit() else None
        content, position = await asyncio.to_thread(_read_tail, path, lines)
        if not wire.is_true(request, "follow"):
            return web.Response(
                body=content[: int(limit)] if limit else content, content_type="text/plain"
            )
        return await self._follow(request, info, path, content, position)

    async def _follow(
        self,
        request: web.Request,
        info: RequestInfo,
        path: Path,
        content: bytes,
        position: int,
    ) -> web.StreamResponse:
        """Send what is there and what is appended until the pod ends."""
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        try:
            await response.write(content)
            ended = False
            while not ended:
                pod = self._verbs.store.get(_PODS, info.namespace, info.name)
                phase = ((pod or {}).get("status") or {}).get("phase")
                ended = pod is None or phase in ("Succeeded", "Failed")
                chunk = await asyncio.to_thread(_read_from, path, position)
                position += len(chunk)
                if chunk:
                    await response.write(chunk)
                elif not ended:
                    await asyncio.sleep(_POLL_SECONDS)
            await response.write_eof()
        except ConnectionResetError:
            pass  # the client is gone
        return response

    # Service accounts

    async def _token(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        """Issue a token; it lives as long as the server, whatever was asked for."""
        asked = await wire.read_object(request)
        self._verbs.get(resource, info.namespace, info.name)
        token = self._tokens.issue(service_account_user(info.namespace, info.name))
        spec = asked.get("spec") or {}
        seconds = spec.get("expirationSeconds") or 3600
        status = {"token": token, "expirationTimestamp": rfc3339(time.time() + seconds)}
        answer = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": info.name, "namespace": info.namespace},
            "spec": {"audiences": [], "expirationSeconds": seconds, **spec},
            "status": status,
        }
        return wire.json_response(answer, 201)


def _log_path(pod: Object, container: str) -> Path:
    names = [c["name"] for c in pod["spec"]["containers"]]
    if container and container not in names:
        raise errors.bad_request(f"container {container} is not valid for pod")
    where = (pod["metadata"].get("annotations") or {}).get(LOG_FILE)
    if not where:
        first = container or names[0]
        name = pod["metadata"]["name"]
        raise errors.bad_request(
            f'container "{first}" in pod "{name}" is waiting to start: ContainerCreating'
        )
    return Path(where)


def _read_tail(path: Path, lines: int | None) -> tuple[bytes, int]:
    """Return the last lines (None: all) and the position after them."""
    content = path.read_bytes()
    size = len(content)
    if lines is not None:
        content = b"".join(content.splitlines(keepends=True)[-lines:]) if lines else b""
    return content, size


def _read_from(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(_CHUNK)
    except FileNotFoundError:
        return b""


def _selector_text(selector: Any) -> str:
    if isinstance(selector, str):
        return selector
    labels = (selector or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _first(path: str, obj: Object) -> Any:
    found = compile_path(path)(obj) if path else []
    return found[0] if found else None


def scale_of(resource: Resource, obj: Object) -> Object:
    """Return the ``Scale`` view of an object."""
    assert resource.scale is not None  # noqa: S101 - asked for scalable kinds only
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": _first(resource.scale.status_path, obj) or 0}
    if selector := _selector_text(_first(resource.scale.selector_path, obj)):
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": _first(resource.scale.spec_path, obj) or 0},
        "status": status,
    }


def _with_replicas(resource: Resource, live: Object, scale: Object, replicas: int) -> Object:
    where: Scale | None = resource.scale
    assert where is not None  # noqa: S101 - asked for scalable kinds only
    obj = clone(live)
    *parents, last = where.spec_path.lstrip(".").split(".")
    node = obj
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = replicas
    if stated := (scale.get("metadata") or {}).get("resourceVersion"):
        obj["metadata"]["resourceVersion"] = stated
    return obj
