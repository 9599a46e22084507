"""Routes: from HTTP requests to verbs and back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import orjson
import yaml
from aiohttp import web

from serinus.sandbox.apiserver import discovery, errors, requests, watch
from serinus.sandbox.apiserver.credentials import ANONYMOUS, Tokens, User
from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.lifecycle import Lifecycle
from serinus.sandbox.apiserver.requests import RequestInfo
from serinus.sandbox.apiserver.resources import Registry, Resource
from serinus.sandbox.apiserver.selectors import (
    object_filter,
    parse_field_selector,
    parse_label_selector,
)
from serinus.sandbox.apiserver.store import Object, Store
from serinus.sandbox.apiserver.verbs import DeleteOptions, Verbs, Write, json_change

BODY_LIMIT = 3 * 1024 * 1024
_WATCH_SECONDS = 1800.0
_APPLY = "application/apply-patch+yaml"

log = logging.getLogger(__name__)


def json_response(body: Any, status: int = 200, warnings: list[str] | None = None) -> web.Response:
    """Return a JSON response; ``warnings`` become ``Warning`` headers, which kubectl prints."""
    response = web.Response(
        body=orjson.dumps(body) + b"\n", status=status, content_type="application/json"
    )
    for text in dict.fromkeys(warnings or ()):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


class ApiServer:
    """The server's parts, put together; ``app()`` gives the aiohttp application."""

    def __init__(
        self, tokens: Tokens, *, history: int = 20_000, clock: Callable[[], float] = time.time
    ) -> None:
        self.store = Store(history)
        self.registry = Registry()
        self.verbs = Verbs(self.store, clock)
        self.tokens = tokens
        self._lifecycle = Lifecycle(self.verbs, self.registry, _soon, clock)
        self._watches: set[asyncio.Task[Any]] = set()
        self._closing = False

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_shutdown.append(self._close_watches)
        return app

    async def _close_watches(self, _: web.Application) -> None:
        self._closing = True
        for task in self._watches:
            task.cancel()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except ApiError as error:
            return json_response(error.to_status(), error.code)
        except web.HTTPRequestEntityTooLarge:
            error = errors.too_large(BODY_LIMIT)
            return json_response(error.to_status(), error.code)
        except Exception:
            log.exception("%s %s failed", request.method, request.path_qs)
            error = ApiError(500, "InternalError", "Internal error occurred: see the server's log")
            return json_response(error.to_status(), error.code)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        info = requests.parse(request.method, request.path, request.query)
        user = self._authenticate(request)
        self._authorize(user, info)
        if not info.plural:
            return self._other_path(request)
        resource = self.registry.get(info.group, info.version, info.plural)
        if resource is None:
            raise errors.no_such_path()
        if resource.namespaced and not info.namespace and info.verb not in ("list", "watch"):
            raise errors.method_not_allowed()
        if not resource.namespaced and info.namespace and info.plural != "namespaces":
            raise errors.no_such_path()
        return await self._on_resource(request, info, resource)

    def _authenticate(self, request: web.Request) -> User:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not token:
            return ANONYMOUS
        user = self.tokens.user(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise errors.unauthorized()
        return user

    def _authorize(self, user: User, info: RequestInfo) -> None:
        if user is ANONYMOUS and info.path not in ("/healthz", "/livez", "/readyz", "/version"):
            raise errors.unauthorized()

    def _other_path(self, request: web.Request) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        parts = [part for part in request.path.split("/") if part]
        document: Any = None
        match parts:
            case ["healthz" | "livez" | "readyz", *_]:
                return web.Response(text="ok")
            case ["version"]:
                document = discovery.VERSION
            case ["api"]:
                document = discovery.core_versions()
            case ["apis"]:
                document = discovery.group_list(self.registry)
            case ["api", version]:
                document = discovery.resource_list(self.registry, "", version)
            case ["apis", group]:
                document = discovery.group(self.registry, group)
            case ["apis", group, version]:
                document = discovery.resource_list(self.registry, group, version)
        if document is None:
            raise errors.no_such_path()
        return json_response(document)

    async def _on_resource(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        if info.subresource not in ("", "status"):
            raise errors.no_such_path()
        if info.subresource == "status" and not resource.has_status:
            raise errors.no_such_path()
        allowed = {"get", "update", "patch"} if info.subresource else set(_HANDLERS)
        if info.verb not in allowed or (info.name and info.verb == "create"):
            raise errors.method_not_allowed()
        return await _HANDLERS[info.verb](self, request, info, resource)

    # Reading

    async def _get(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        return json_response(self.verbs.get(resource, _namespace(info, resource), info.name))

    def _selected(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> tuple[str | None, Callable[[Mapping[str, Any]], bool]]:
        """Return the namespace (None: all) and the predicate of a list or watch."""
        labels = parse_label_selector(request.query.get("labelSelector", ""))
        selector = request.query.get("fieldSelector", "")
        fields = parse_field_selector(selector, resource.selectable_fields)
        namespace = info.namespace if resource.namespaced and info.namespace else None
        return namespace, object_filter(labels, fields)

    async def _list(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        namespace, keep = self._selected(request, info, resource)
        found = [
            self.verbs.present(resource, obj)
            for obj in self.store.list(resource.key, namespace)
            if keep(obj)
        ]
        return json_response(_list_document(resource, found, self.store.revision))

    async def _watch(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        namespace, keep = self._selected(request, info, resource)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        since = _revision(request.query.get("resourceVersion", ""))
        if request.query.get("sendInitialEvents", "") == "true":
            raise _no_watch_list()
        try:
            watcher = self.store.watch(resource.key, since)
        except ApiError as error:
            return json_response(watch.error_event(error))
        initial = [
            obj for obj in self.store.list(resource.key, namespace) if since is None and keep(obj)
        ]
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._watches.add(task)
        seconds = float(request.query.get("timeoutSeconds") or _WATCH_SECONDS)
        stream = watch.events(
            self.store, watcher, initial, namespace, keep,
            bookmarks=request.query.get("allowWatchBookmarks") in ("1", "true"),
            deadline=time.monotonic() + seconds, clock=time.monotonic,
        )  # fmt: skip
        try:
            async for kind, obj in stream:
                await response.write(_event_line(resource, kind, obj))
            await response.write_eof()
        except ConnectionResetError:
            pass  # the client is gone
        except asyncio.CancelledError:
            if not self._closing:
                raise
            with contextlib.suppress(ConnectionResetError):
                await response.write_eof()
        finally:
            self._watches.discard(task)
            watcher.close()
        return response

    # Writing

    async def _create(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        write = _write_options(request, info)
        namespace = _namespace(info, resource)
        body = await _body(request)
        created = self.verbs.create(resource, namespace, body, write)
        return json_response(created, 201, write.warnings)

    async def _update(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        write = _write_options(request, info)
        namespace = _namespace(info, resource)
        body = await _body(request)
        updated = self.verbs.update(resource, namespace, info.name, body, write)
        return json_response(updated, 200, write.warnings)

    async def _patch(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        write = _write_options(request, info)
        namespace = _namespace(info, resource)
        if request.content_type == _APPLY:
            if not request.query.get("fieldManager"):
                raise errors.bad_request("fieldManager is required for apply patch")
            body = await _body(request, yaml_too=True)
            found, created = self.verbs.apply(resource, namespace, info.name, body, write)
            return json_response(found, 201 if created else 200, write.warnings)
        document = await _document(request)
        change = json_change(document, request.content_type, resource)
        patched = self.verbs.patch(resource, namespace, info.name, change, write)
        return json_response(patched, 200, write.warnings)

    async def _delete(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        options = await _delete_options(request)
        namespace = _namespace(info, resource)
        last, gone = self.verbs.delete(resource, namespace, info.name, options)
        if not gone or resource.key in _RETURNED_WHEN_DELETED:
            return json_response(last)
        return json_response(_deleted_status(resource, last))

    async def _delete_collection(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        options = await _delete_options(request)
        namespace, keep = self._selected(request, info, resource)
        found = [obj for obj in self.store.list(resource.key, namespace) if keep(obj)]
        last = [
            self.verbs.delete(
                resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], options
            )[0]
            for obj in found
        ]
        return json_response(_list_document(resource, last, self.store.revision))


Handler: TypeAlias = Callable[
    [ApiServer, web.Request, RequestInfo, Resource], Awaitable[web.StreamResponse]
]
_HANDLERS: dict[str, Handler] = {
    "get": ApiServer._get,  # noqa: SLF001
    "list": ApiServer._list,  # noqa: SLF001
    "watch": ApiServer._watch,  # noqa: SLF001
    "create": ApiServer._create,  # noqa: SLF001
    "update": ApiServer._update,  # noqa: SLF001
    "patch": ApiServer._patch,  # noqa: SLF001
    "delete": ApiServer._delete,  # noqa: SLF001
    "deletecollection": ApiServer._delete_collection,  # noqa: SLF001
}
_RETURNED_WHEN_DELETED = {("", "pods"), ("", "services"), ("", "namespaces")}


def _soon(action: Callable[..., object], *args: object) -> object:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return action(*args)
    return loop.call_soon(action, *args)


def _namespace(info: RequestInfo, resource: Resource) -> str:
    return info.namespace if resource.namespaced else ""


def _list_document(resource: Resource, found: list[Object], revision: int) -> dict[str, Any]:
    if not resource.custom:  # typed lists do not repeat the kind
        hidden = ("kind", "apiVersion")
        found = [{k: v for k, v in obj.items() if k not in hidden} for obj in found]
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(revision)},
        "items": found,
    }


def _event_line(resource: Resource, kind: str, obj: Object) -> bytes:
    if kind == "BOOKMARK":
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    else:
        obj = Verbs.present(resource, obj)
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"


def _revision(text: str) -> int | None:
    """Return where a watch starts; None: with all present objects."""
    if text in ("", "0"):
        return None
    if not text.isdigit():
        raise errors.bad_request(f"Invalid value: {text!r}: resourceVersion is not a number")
    return int(text)


def _no_watch_list() -> ApiError:
    why = (
        "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is"
        " enabled"
    )
    cause = errors.Cause("sendInitialEvents", "FieldValueForbidden", why)
    return errors.invalid("ListOptions", "meta.k8s.io", "", [cause])


def _deleted_status(resource: Resource, last: Object) -> dict[str, Any]:
    metadata = last["metadata"]
    details = {"name": metadata["name"], "kind": resource.plural, "uid": metadata["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def _write_options(request: web.Request, info: RequestInfo) -> Write:
    query = request.query
    if query.get("dryRun", "All") != "All":
        raise errors.bad_request("dryRun can only be All")
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise errors.bad_request(f"fieldValidation cannot be {validation}")
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0]
    return Write(
        manager=query.get("fieldManager") or agent,
        subresource=info.subresource,
        field_validation=validation,
        dry_run="dryRun" in query,
        force=query.get("force") in ("1", "true"),
    )


async def _document(request: web.Request, *, yaml_too: bool = False) -> Any:
    data = await request.read()
    if yaml_too and not data.lstrip().startswith(b"{"):
        try:
            return yaml.safe_load(data)
        except yaml.YAMLError as error:
            raise errors.bad_request(f"error decoding YAML: {error}") from None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"the body of the request is not JSON: {error}") from None


async def _body(request: web.Request, *, yaml_too: bool = False) -> Object:
    content = request.content_type
    if not yaml_too and content == "application/yaml":
        yaml_too = True
    elif not yaml_too and content not in ("application/json", "application/octet-stream", "*/*"):
        raise errors.unsupported_media_type(["application/json", "application/yaml"])
    document = await _document(request, yaml_too=yaml_too)
    if not isinstance(document, dict):
        raise errors.bad_request("the body of the request is not an object")
    return document


async def _delete_options(request: web.Request) -> DeleteOptions:
    body = await _document(request) if request.can_read_body else {}
    query = request.query
    given = body or {}
    grace = given.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = given.get("propagationPolicy", query.get("propagationPolicy"))
    if propagation not in (None, "Background", "Foreground", "Orphan"):
        raise errors.bad_request(f"propagationPolicy cannot be {propagation}")
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        grace_seconds=int(grace) if grace is not None else None,
        propagation=propagation,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        dry_run=bool(given.get("dryRun") or query.get("dryRun")),
    )
