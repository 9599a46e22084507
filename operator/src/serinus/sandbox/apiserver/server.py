"""From an HTTP request to its handler: authentication, authorization, routes, errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from serinus.sandbox.apiserver import discovery, errors, openapi, requests, wire
from serinus.sandbox.apiserver.authz import Authorizer
from serinus.sandbox.apiserver.credentials import ANONYMOUS, AUTHENTICATED, Tokens, User
from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.handlers import Handlers, namespace_of
from serinus.sandbox.apiserver.lifecycle import Lifecycle
from serinus.sandbox.apiserver.requests import RequestInfo
from serinus.sandbox.apiserver.resources import NAMESPACES, Registry, Resource
from serinus.sandbox.apiserver.reviews import Reviews
from serinus.sandbox.apiserver.store import Store
from serinus.sandbox.apiserver.subresources import Subresources
from serinus.sandbox.apiserver.verbs import Verbs

_V2_PROTO = "application/com.github.proto-openapi.spec.v2"

log = logging.getLogger(__name__)


class ApiServer:
    """The server's parts, put together; ``app()`` gives the aiohttp application."""

    def __init__(
        self, tokens: Tokens, *, history: int = 20_000, clock: Callable[[], float] = time.time
    ) -> None:
        self.store = Store(history)
        self.registry = Registry()
        self.verbs = Verbs(self.store, clock)
        self.tokens = tokens
        self._handlers = Handlers(self.verbs, clock)
        self._subresources = Subresources(self.verbs, tokens)
        self._authorizer = Authorizer(self.store)
        self._reviews = Reviews(self._authorizer)
        self._lifecycle = Lifecycle(self.verbs, self.registry, _soon, clock)

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=wire.BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_shutdown.append(self._close)
        return app

    async def _close(self, _: web.Application) -> None:
        self._handlers.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except ApiError as error:
            return _refusal(error)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(errors.too_large(wire.BODY_LIMIT))
        except (ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception:  # a bug here must not look like a dead server
            log.exception("%s %s failed", request.method, request.path_qs)
            message = "Internal error occurred: see the server's log"
            return _refusal(ApiError(500, "InternalError", message))

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        info = requests.parse(request.method, request.path, request.query)
        user = self._authenticate(request)
        self._authorizer.check(user, info)
        if not info.plural:
            return self._other_path(request)
        if self._reviews.knows(info):
            if info.verb != "create":
                raise errors.method_not_allowed()
            review = await wire.read_object(request)
            return wire.json_response(self._reviews.answer(user, info, review), 201)
        resource = self.registry.get(info.group, info.version, info.plural)
        if resource is None and not self._serves(info):
            return _page_not_found()
        if resource is None or (info.namespace and not _may_be_namespaced(info, resource)):
            raise errors.no_such_path()
        if info.subresource not in ("", "status"):
            return await self._subresources.find(info, resource)(request, info, resource)
        return await self._on_object(request, user, info, resource)

    def _serves(self, info: RequestInfo) -> bool:
        return info.version in self.registry.group_versions().get(info.group, ())

    def _authenticate(self, request: web.Request) -> User:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not token:
            return ANONYMOUS
        user = self.tokens.user(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise errors.unauthorized()
        return self._impersonated(request, user)

    def _impersonated(self, request: web.Request, user: User) -> User:
        """Return who the request is judged as; kubectl's --as."""
        name = request.headers.get("Impersonate-User")
        if not name:
            return user
        info = RequestInfo("impersonate", "", plural="users", name=name)
        self._authorizer.check(user, info)
        groups = request.headers.getall("Impersonate-Group", [])
        for group in groups:
            self._authorizer.check(user, replace(info, plural="groups", name=group))
        return User(name, (*groups, AUTHENTICATED))

    async def _on_object(
        self, request: web.Request, user: User, info: RequestInfo, resource: Resource
    ) -> web.StreamResponse:
        if info.subresource == "status" and not resource.has_status:
            raise errors.no_such_path()
        if resource.namespaced and not info.namespace and info.verb not in ("list", "watch"):
            raise errors.method_not_allowed()
        allowed = {"get", "update", "patch"} if info.subresource else set(self._handlers.by_verb)
        if (resource.key, info.verb) == (NAMESPACES, "deletecollection"):
            raise errors.method_not_allowed()
        misplaced = bool(info.name) == (info.verb == "create")
        if info.verb not in allowed or (misplaced and info.verb in ("create", "update", "patch")):
            if resource.custom:
                raise errors.not_supported(resource.plural, resource.group, info.verb)
            raise errors.method_not_allowed()
        if info.verb == "patch" and request.content_type == wire.APPLY:
            namespace = namespace_of(info, resource)
            if self.store.get(resource.key, namespace, info.name) is None:
                self._authorizer.check(user, replace(info, verb="create"))
        return await self._handlers.by_verb[info.verb](request, info, resource)

    def _other_path(self, request: web.Request) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] in (["healthz"], ["livez"], ["readyz"]):
            return web.Response(text="ok")
        if parts == ["openapi", "v2"] and _V2_PROTO in request.headers.get("Accept", ""):
            return web.Response(body=openapi.legacy_proto(), content_type=_V2_PROTO)
        document = self._document(parts)
        if document is None:
            return _page_not_found()
        return wire.json_response(document)

    def _document(self, parts: list[str]) -> dict[str, Any] | None:
        match parts:
            case []:
                return {"paths": ["/api", "/apis", "/healthz", "/openapi/v3", "/version"]}
            case ["version"]:
                return discovery.VERSION
            case ["api"]:
                return discovery.core_versions()
            case ["apis"]:
                return discovery.group_list(self.registry)
            case ["api", version]:
                return discovery.resource_list(self.registry, "", version)
            case ["apis", group]:
                return discovery.group(self.registry, group)
            case ["apis", group, version]:
                return discovery.resource_list(self.registry, group, version)
            case ["openapi", *rest]:
                return self._openapi(rest)
            case _:
                return None

    def _openapi(self, parts: list[str]) -> dict[str, Any] | None:
        match parts:
            case ["v2"]:
                return openapi.legacy_json()
            case ["v3"]:
                return openapi.index(self.registry)
            case ["v3", "api", version]:
                return openapi.document(self.registry, "", version)
            case ["v3", "apis", group, version]:
                return openapi.document(self.registry, group, version)
            case _:
                return None


def _page_not_found() -> web.Response:
    """Paths outside of every served group get no Status, here as in the real server."""
    return web.Response(status=404, text="404 page not found\n")


def _refusal(error: ApiError) -> web.Response:
    return wire.json_response(error.to_status(), error.code)


def _may_be_namespaced(info: RequestInfo, resource: Resource) -> bool:
    return resource.namespaced or info.plural == "namespaces"


def _soon(action: Callable[..., object], *args: object) -> object:
    """Run after the request that caused it; at once while the server is not running yet."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return action(*args)
    return loop.call_soon(action, *args)
