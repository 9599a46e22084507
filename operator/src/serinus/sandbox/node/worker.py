"""One pod on the node: its address, its containers, its status, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp

from serinus.sandbox import clock
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient
from serinus.sandbox.events import Recorder
from serinus.sandbox.node import spec
from serinus.sandbox.node.addresses import AddressRange, NoAddressError
from serinus.sandbox.node.container import Container, Surroundings, ended_with_node
from serinus.sandbox.node.state import ContainerView, Waiting, pod_status
from serinus.sandbox.objects import Object, is_deleting, name_of, namespace_of, uid_of
from serinus.sandbox.resources import CONFIG_MAPS, PODS, SECRETS
from serinus.sandbox.statuses import same

log = logging.getLogger(__name__)

LOG_FILE = "sandbox.serinus.dev/log-file"  # annotation; read by `kubectl logs`
RETRY = 2.0  # seconds


class PodWorker:
    """Runs one pod from its binding to its removal. ``run`` is its whole life."""

    def __init__(
        self,
        client: KubeClient,
        pod: Object,
        folder: Path,
        addresses: AddressRange,
        events: Recorder,
        session: aiohttp.ClientSession,
    ) -> None:
        self.pod = pod
        self._client = client
        self._folder = folder
        self._addresses = addresses
        self._events = events
        self._session = session
        self._address = ""
        self._containers: list[Container] = []
        self._excuse: Waiting | None = None
        self._dirty = asyncio.Event()
        self._leave = asyncio.Event()
        self._gone = asyncio.Event()
        self._logs: dict[str, str] = {}

    def update(self, pod: Object) -> None:
        """The pod changed in the API; the node minds only that it is to go."""
        self.pod = pod
        if is_deleting(pod):
            self._leave.set()

    def removed(self) -> None:
        """The pod is no longer in the API: nothing is left to be graceful for."""
        self._gone.set()
        self._leave.set()

    async def run(self) -> None:
        """Run the pod until it is deleted. Cancelled: its processes are killed."""
        publisher = asyncio.ensure_future(self._publish())
        life = asyncio.ensure_future(self._live())
        leave = asyncio.ensure_future(self._leave.wait())
        try:
            await asyncio.wait({life, leave}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
            await leave
            await self._stop_containers()
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life
            publisher.cancel()
            if not self._gone.is_set():
                await self._remove()
        finally:
            for task in (publisher, life, leave):
                task.cancel()
            await asyncio.gather(publisher, life, leave, return_exceptions=True)
            self._addresses.release(self._address)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _live(self) -> None:
        problem = spec.unsupported(self.pod)
        if problem is not None:
            self._events.warning(self.pod, "FailedCreatePodSandBox", problem)
            self._excuse = Waiting("CreateContainerConfigError", problem)
            self._dirty.set()
            return
        await self._find_address()
        self._folder.mkdir(parents=True, exist_ok=True)
        around = Surroundings(
            pod=self.pod,
            address=self._address,
            folder=self._folder,
            prepare=self._prepare,
            changed=self._dirty.set,
            started=self._container_started,
            event=self._event,
            session=self._session,
        )
        now = clock.now()
        before = {
            status["name"]: status
            for status in (self.pod.get("status") or {}).get("containerStatuses") or []
        }
        for container in self.pod["spec"]["containers"]:
            status = before.get(container["name"], {})
            last = ended_with_node(status, now)
            restarts = status.get("restartCount", 0) + (1 if last else 0)
            self._containers.append(Container(container, around, restarts, last))
        self._dirty.set()
        async with asyncio.TaskGroup() as group:
            for runner in self._containers:
                group.create_task(runner.run())

    async def _find_address(self) -> None:
        ports = [
            port["containerPort"]
            for container in self.pod["spec"]["containers"]
            for port in container.get("ports") or []
        ]
        before = (self.pod.get("status") or {}).get("podIP", "")
        while True:
            try:
                self._address = self._addresses.allocate(ports, before)
            except NoAddressError as error:
                self._events.warning(self.pod, "FailedCreatePodSandBox", str(error))
                self._excuse = Waiting("ContainerCreating", str(error))
                self._dirty.set()
                await asyncio.sleep(RETRY)
            else:
                self._excuse = None
                return

    async def _prepare(self, container: Object) -> spec.Launch:
        maps, secrets = spec.references(self.pod)
        namespace = namespace_of(self.pod)
        found_maps, found_secrets = {}, {}
        try:
            for name in maps:
                if found := await self._client.find(CONFIG_MAPS, name, namespace):
                    found_maps[name] = dict(found.get("data") or {})
            for name in secrets:
                if found := await self._client.find(SECRETS, name, namespace):
                    found_secrets[name] = spec.decoded(found.get("data") or {})
        except (ApiError, ApiUnreachableError) as error:
            raise spec.ConfigError(f"environment: {error}") from error
        pod = {**self.pod, "status": {"podIP": self._address, "hostIP": self._host}}
        return spec.launch(pod, container, spec.Values(found_maps, found_secrets), self._folder)

    @property
    def _host(self) -> str:
        return self._addresses.node_address

    def _event(self, kind: str, reason: str, message: str) -> None:
        write = self._events.normal if kind == "Normal" else self._events.warning
        write(self.pod, reason, message)

    def _container_started(self, name: str, log_file: Path) -> None:
        first = name == self.pod["spec"]["containers"][0]["name"]
        self._logs[LOG_FILE if first else f"{LOG_FILE}.{name}"] = str(log_file)
        self._dirty.set()

    def _views(self) -> list[ContainerView]:
        if self._containers and self._excuse is None:
            return [container.view() for container in self._containers]
        waiting = self._excuse or Waiting("ContainerCreating")
        return [
            ContainerView(c["name"], c["image"], waiting, None, 0, False, False)
            for c in self.pod["spec"]["containers"]
        ]

    async def _publish(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._write_status()
            except (ApiError, ApiUnreachableError) as error:
                if isinstance(error, ApiError) and error.not_found:
                    return
                log.warning("status of %s: %s", name_of(self.pod), error)
                self._dirty.set()
                await asyncio.sleep(RETRY)

    async def _write_status(self) -> None:
        namespace, name = namespace_of(self.pod), name_of(self.pod)
        stored = self.pod["metadata"].get("annotations") or {}
        if self._logs and not self._logs.items() <= stored.items():
            patch = {"metadata": {"uid": uid_of(self.pod), "annotations": dict(self._logs)}}
            await self._keep(self._client.merge(PODS, name, namespace, patch))
        status = pod_status(self.pod, self._views(), self._address, self._host, clock.now())
        if not same(self.pod.get("status"), status):
            body = {"metadata": {"uid": uid_of(self.pod)}, "status": status}
            await self._keep(self._client.merge(PODS, name, namespace, body, "status"))

    async def _keep(self, write: Coroutine[Any, Any, Object]) -> None:
        written = await write
        if int(written["metadata"]["resourceVersion"]) >= int(
            self.pod["metadata"]["resourceVersion"]
        ):
            self.update(written)

    async def _stop_containers(self) -> None:
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds")
        if self._gone.is_set():
            grace = 0
        elif grace is None:
            grace = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        stopped = asyncio.ensure_future(self._stop_all(grace))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({stopped, gone}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                stopped.result()
        finally:
            gone.cancel()
            stopped.cancel()  # still running: the pod was force-deleted meanwhile

    async def _stop_all(self, grace: float) -> None:
        async with asyncio.TaskGroup() as group:
            for container in self._containers:
                group.create_task(container.stop(grace))

    async def _remove(self) -> None:
        while not self._gone.is_set():
            try:
                await self._write_status()
                await self._client.delete(
                    PODS, name_of(self.pod), namespace_of(self.pod), uid=uid_of(self.pod), grace=0
                )
            except ApiError as error:
                if error.status in {404, 409}:  # gone, or another pod of that name by now
                    return
                log.warning("deleting %s: %s", name_of(self.pod), error)
            except ApiUnreachableError as error:
                log.warning("deleting %s: %s", name_of(self.pod), error)
            else:
                return
            await asyncio.sleep(RETRY)
