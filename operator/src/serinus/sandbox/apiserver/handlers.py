"""One handler per verb: reads the request, calls the verb, writes the answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import orjson
from aiohttp import web

from serinus.sandbox.apiserver import errors, watch, wire
from serinus.sandbox.apiserver.conversion import present
from serinus.sandbox.apiserver.decoding import json_change
from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.requests import RequestInfo
from serinus.sandbox.apiserver.resources import Resource
from serinus.sandbox.apiserver.selectors import (
    object_filter,
    parse_field_selector,
    parse_label_selector,
)
from serinus.sandbox.apiserver.store import Object
from serinus.sandbox.apiserver.verbs import Verbs
from serinus.sandbox.apiserver.views import View
from serinus.sandbox.apiserver.watch import Keep

Handler: TypeAlias = Callable[[web.Request, RequestInfo, Resource], Awaitable[web.StreamResponse]]

_WATCH_SECONDS = 1800.0
_RETURNED_WHEN_DELETED = {("", "pods"), ("", "services"), ("", "namespaces")}


def namespace_of(info: RequestInfo, resource: Resource) -> str:
    """Return the namespace that a request is about, "" for cluster-scoped resources."""
    return info.namespace if resource.namespaced else ""


class Handlers:
    """The verbs over HTTP."""

    def __init__(self, verbs: Verbs, clock: Callable[[], float]) -> None:
        self._verbs = verbs
        self._store = verbs.store
        self._clock = clock
        self._streams: set[asyncio.Task[Any]] = set()
        self._closing = False
        self.by_verb: Mapping[str, Handler] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def close(self) -> None:
        """End all streams."""
        self._closing = True
        for task in self._streams:
            task.cancel()

    # Reading

    async def _get(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        found = self._verbs.get(resource, namespace_of(info, resource), info.name)
        return wire.json_response(self._view(request, resource).one(found))

    def _view(self, request: web.Request, resource: Resource) -> View:
        return View(request, resource, self._clock)

    def _selected(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> tuple[str | None, Keep]:
        """Return the namespace (None: all) and the predicate of a list or watch."""
        labels = parse_label_selector(request.query.get("labelSelector", ""))
        selector = request.query.get("fieldSelector", "")
        if info.name:  # watching one object by its path
            selector = ",".join(filter(None, (selector, f"metadata.name={info.name}")))
        fields = parse_field_selector(selector, resource.selectable_fields)
        namespace = info.namespace if resource.namespaced and info.namespace else None
        keep = object_filter(labels, fields)
        return namespace, lambda obj: keep(present(resource, obj))

    async def _list(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        namespace, keep = self._selected(request, info, resource)
        self._check_list_revision(request)
        found = [
            present(resource, obj)
            for obj in self._store.objects(resource.key, namespace)
            if keep(obj)
        ]
        revision = str(self._store.revision)
        return wire.json_response(self._view(request, resource).many(found, revision))

    def _check_list_revision(self, request: web.Request) -> None:
        """Only the present can be listed; a client that wants the past must know."""
        if request.query.get("continue"):
            raise ApiError(410, "Expired", "The provided continue parameter is too old")
        wanted = _revision(request.query.get("resourceVersion", "")) or 0
        if wanted > self._store.revision:
            message = f"Too large resource version: {wanted}, current: {self._store.revision}"
            raise ApiError(504, "Timeout", message, {"retryAfterSeconds": 1})
        if request.query.get("resourceVersionMatch") == "Exact" and wanted != self._store.revision:
            raise errors.expired(wanted, self._store.revision)

    async def _watch(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        namespace, keep = self._selected(request, info, resource)
        if wire.is_true(request, "sendInitialEvents"):
            raise _no_watch_list()
        since = _revision(request.query.get("resourceVersion", ""))
        try:
            seconds = float(request.query.get("timeoutSeconds") or _WATCH_SECONDS)
        except ValueError:
            raise errors.bad_request("timeoutSeconds is not a number") from None
        try:
            watcher = self._store.watch(resource.key, since)
        except ApiError as error:
            return wire.json_response(watch.error_event(error))
        stream = watch.events(
            self._store,
            watcher,
            list(self._store.objects(resource.key, namespace)) if since is None else [],
            watch.Selection(namespace, keep),
            bookmarks=wire.is_true(request, "allowWatchBookmarks"),
            deadline=time.monotonic() + seconds,
        )
        async with contextlib.aclosing(stream):
            return await self._stream(request, resource, stream)

    async def _stream(
        self, request: web.Request, resource: Resource, stream: watch.Events
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        view = self._view(request, resource)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - handlers run in tasks
        self._streams.add(task)
        try:
            async for kind, obj in stream:
                await response.write(orjson.dumps(view.event(kind, obj)) + b"\n")
            await response.write_eof()
        except ConnectionResetError:
            pass  # the client is gone
        except asyncio.CancelledError:
            if not self._closing:
                raise
            with contextlib.suppress(ConnectionResetError):
                await response.write_eof()
        finally:
            self._streams.discard(task)
        return response

    # Writing

    async def _create(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        write = wire.write_options(request, info)
        body = await wire.read_object(request)
        created = self._verbs.create(resource, namespace_of(info, resource), body, write)
        return wire.json_response(created, 201, write.warnings)

    async def _update(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        write = wire.write_options(request, info)
        body = await wire.read_object(request)
        namespace = namespace_of(info, resource)
        updated = self._verbs.update(resource, namespace, info.name, body, write)
        return wire.json_response(updated, 200, write.warnings)

    async def _patch(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        write = wire.write_options(request, info)
        namespace = namespace_of(info, resource)
        if request.content_type == wire.APPLY:
            if not request.query.get("fieldManager"):
                raise _no_field_manager()
            body = await wire.read_object(request)
            found, created = self._verbs.apply(resource, namespace, info.name, body, write)
            return wire.json_response(found, 201 if created else 200, write.warnings)
        change = json_change(request.content_type, resource)
        document = await wire.read_document(request)
        patched = self._verbs.patch(
            resource, namespace, info.name, lambda live: change(live, document), write
        )
        return wire.json_response(patched, 200, write.warnings)

    async def _delete(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        options = await wire.delete_options(request)
        namespace = namespace_of(info, resource)
        last, gone = self._verbs.delete(resource, namespace, info.name, options)
        if not gone or resource.key in _RETURNED_WHEN_DELETED:
            return wire.json_response(last)
        return wire.json_response(_deleted_status(resource, last))

    async def _delete_collection(
        self, request: web.Request, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        options = await wire.delete_options(request)
        namespace, keep = self._selected(request, info, resource)
        found = [
            obj["metadata"] for obj in self._store.objects(resource.key, namespace) if keep(obj)
        ]
        last = [
            self._verbs.delete(resource, meta.get("namespace", ""), meta["name"], options)[0]
            for meta in found
        ]
        revision = str(self._store.revision)
        return wire.json_response(self._view(request, resource).many(last, revision))


def _revision(text: str) -> int | None:
    """Return where a watch starts; None: with all present objects."""
    if text in ("", "0"):
        return None
    if not text.isdigit():
        raise errors.bad_request(f'resourceVersion: Invalid value: "{text}": not a number')
    return int(text)


def _no_watch_list() -> ApiError:
    why = (
        "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is"
        " enabled"
    )
    cause = errors.Cause("sendInitialEvents", "FieldValueForbidden", why)
    return errors.invalid("ListOptions", "meta.k8s.io", "", [cause])


def _no_field_manager() -> ApiError:
    why = "Required value: is required for apply patch"
    cause = errors.Cause("fieldManager", "FieldValueRequired", why)
    return errors.invalid("PatchOptions", "meta.k8s.io", "", [cause])


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
