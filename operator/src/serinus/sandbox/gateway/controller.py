"""The gateway's loop: look at everything, configure Envoy, say what is served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from serinus.sandbox import clock, discovery
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient, wait_until_serving
from serinus.sandbox.gateway import statuses
from serinus.sandbox.gateway.attach import CONTROLLER, Attachments, World, attach, our_gateways
from serinus.sandbox.gateway.config import snapshot
from serinus.sandbox.gateway.envoy import Envoy, RejectedError
from serinus.sandbox.informer import Informer
from serinus.sandbox.objects import Object, key_of, name_of, namespace_of
from serinus.sandbox.resources import (
    ENDPOINT_SLICES,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    NAMESPACES,
    SERVICES,
)
from serinus.sandbox.statuses import same

log = logging.getLogger(__name__)

CLASS = "sandbox"
GATHER = 0.01  # seconds in which changes are gathered into one configuration
RETRY = 1.0


class Gateway:
    """Serves the cluster's HTTPRoutes. ``run`` is its whole life."""

    def __init__(self, client: KubeClient, folder: Path) -> None:
        self._client = client
        self._envoy = Envoy(folder)
        self._dirty = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; raises PartError if Envoy ends."""
        await wait_until_serving(self._client, seconds=30)
        slices = await discovery.as_served(self._client, ENDPOINT_SLICES)
        self._classes = Informer(self._client, GATEWAY_CLASSES)
        self._gateways = Informer(self._client, GATEWAYS)
        self._routes = Informer(self._client, HTTP_ROUTES)
        self._services = Informer(self._client, SERVICES)
        self._slices = Informer(self._client, slices)
        self._namespaces = Informer(self._client, NAMESPACES)
        informers = (
            self._classes, self._gateways, self._routes,
            self._services, self._slices, self._namespaces,
        )  # fmt: skip
        try:
            await self._envoy.start()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._envoy.wait())
                for informer in informers:
                    group.create_task(informer.run())
                for informer in informers:
                    await informer.synced.wait()
                    informer.on_change(self._changed)
                self._dirty.set()
                await self._serve(ready)
        finally:
            await self._envoy.stop()

    def _changed(self, before: Object | None, after: Object | None) -> None:
        del before, after
        self._dirty.set()

    async def _serve(self, ready: Callable[[], None]) -> None:
        told = False
        while True:
            await self._dirty.wait()
            await asyncio.sleep(GATHER)
            self._dirty.clear()
            try:
                await self._ensure_class()
                await self._once()
                if not told:
                    ready()
                    told = True
            except (ApiError, ApiUnreachableError, RejectedError) as error:
                log.warning("%s; trying again", error)
                self._dirty.set()
                await asyncio.sleep(RETRY)

    async def _ensure_class(self) -> None:
        if self._classes.get("", CLASS) is None:
            body = {"metadata": {"name": CLASS}, "spec": {"controllerName": CONTROLLER}}
            self._classes.written(
                await self._client.apply(GATEWAY_CLASSES, body, "sandbox-gateway")
            )

    def _world(self) -> World:
        return World(
            classes=tuple(self._classes.all()),
            gateways=tuple(self._gateways.all()),
            routes=tuple(self._routes.all()),
            services={key_of(service): service for service in self._services.all()},
            slices=tuple(self._slices.all()),
            namespaces={name_of(namespace): namespace for namespace in self._namespaces.all()},
        )

    async def _once(self) -> None:
        world = self._world()
        attachments = attach(world)
        refused: RejectedError | None = None
        try:
            await self._envoy.take(snapshot(world, attachments, self._envoy.folder))
        except RejectedError as error:
            refused = error
        await self._say(world, attachments, refused)
        if refused is not None:
            raise refused

    async def _say(
        self, world: World, attachments: Attachments, refused: RejectedError | None
    ) -> None:
        """Write statuses: only now, because Envoy serves what they claim."""
        now = clock.now()
        for obj in world.classes:
            if obj["spec"]["controllerName"] == CONTROLLER:
                await self._write(self._classes, obj, statuses.gateway_class(obj, now))
        rejection = None if refused is None else str(refused)
        for obj in our_gateways(world):
            status = statuses.gateway(obj, attachments, rejection, now)
            await self._write(self._gateways, obj, status)
        if refused is not None:
            return
        for obj in world.routes:
            await self._write(self._routes, obj, statuses.route(obj, attachments, now))

    async def _write(self, cache: Informer, obj: Object, status: Object) -> None:
        if same(obj.get("status") or {}, status):
            return
        try:
            answer = await self._client.merge(
                cache.resource, name_of(obj), namespace_of(obj), {"status": status}, "status"
            )
        except ApiError as error:
            if not error.not_found:
                raise
        else:
            cache.written(answer)
