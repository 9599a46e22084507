"""The node: registers itself, says that it lives, and has a worker for every pod bound to it."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from serinus import __version__
from serinus.sandbox import clock
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient, wait_until_serving
from serinus.sandbox.events import Recorder
from serinus.sandbox.informer import Informer
from serinus.sandbox.node import targets
from serinus.sandbox.node.addresses import KUBELET_PORT, AddressRange
from serinus.sandbox.node.process import kill_leftovers
from serinus.sandbox.node.worker import PodWorker
from serinus.sandbox.objects import Object, is_deleting, name_of, namespace_of, uid_of
from serinus.sandbox.resources import NODES, PODS

log = logging.getLogger(__name__)

HEARTBEAT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """``folder`` holds pods' logs and temporary files; ``seed`` chooses the address range."""

    name: str
    folder: Path
    seed: str
    targets: Path | None = None  # written for Prometheus


class Node:
    """A node of the cluster. ``run`` is its whole life."""

    def __init__(self, client: KubeClient, settings: NodeSettings) -> None:
        self._client = client
        self._settings = settings
        self._workers: dict[str, PodWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; pods' processes end with it."""
        await wait_until_serving(self._client, seconds=30)
        folder = self._settings.folder / "pods"
        folder.mkdir(parents=True, exist_ok=True)
        if count := kill_leftovers(folder):
            log.warning("killed %d containers that an earlier node left behind", count)
        self._folder = folder
        self._addresses = AddressRange.take(self._settings.seed)
        self._events = Recorder(self._client, "sandbox-node")
        selector = f"spec.nodeName={self._settings.name}"
        pods = self._pods = Informer(self._client, PODS, field_selector=selector)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                asyncio.TaskGroup() as group,
            ):
                self._session = session
                self._group = group
                group.create_task(self._events.run())
                group.create_task(pods.run())
                await pods.synced.wait()
                pods.on_change(self._changed)
                if self._settings.targets is not None:
                    targets.write(self._settings.targets, pods.all())
                await self._register(ready)
        finally:
            self._addresses.close()

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if self._settings.targets is not None:
            targets.write(self._settings.targets, self._pods.all())
        if before is not None and (after is None or uid_of(after) != uid_of(before)):
            worker = self._workers.get(uid_of(before))
            if worker is not None:
                worker.removed()
        if after is None:
            return
        worker = self._workers.get(uid_of(after))
        if worker is not None:
            worker.update(after)
            return
        finished = (after.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        if not finished or is_deleting(after):
            self._start(after)

    def _start(self, pod: Object) -> None:
        uid = uid_of(pod)
        folder = self._folder / f"{namespace_of(pod)}_{name_of(pod)}_{uid[:8]}"
        worker = PodWorker(self._client, pod, folder, self._addresses, self._events, self._session)
        worker.update(pod)
        self._workers[uid] = worker
        log.info("pod %s/%s", namespace_of(pod), name_of(pod))
        task = self._group.create_task(worker.run())
        task.add_done_callback(lambda _: self._workers.pop(uid, None))

    async def _register(self, ready: Callable[[], None]) -> None:
        told = False
        while True:
            try:
                await self._heartbeat()
                if not told:
                    ready()
                    told = True
                await asyncio.sleep(HEARTBEAT)
            except (ApiError, ApiUnreachableError) as error:
                log.warning("node %s: %s", self._settings.name, error)
                await asyncio.sleep(1)

    async def _heartbeat(self) -> None:
        name = self._settings.name
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(
                platform.machine(), platform.machine()
            ),
        }
        node = await self._client.find(NODES, name)
        if node is None:
            body = {"metadata": {"name": name, "labels": labels}, "spec": {}}
            node = await self._client.create(NODES, body)
            log.info("registered node %s, pods on %s", name, self._addresses.node_address)
        status = _status(node, self._addresses.node_address)
        await self._client.merge(NODES, name, "", {"status": status}, "status")


def _status(node: Object, address: str) -> Object:
    now = clock.stamp(clock.now())
    old = {c["type"]: c for c in (node.get("status") or {}).get("conditions") or []}
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "the sandbox's node runs pods as local processes",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    if (old.get("Ready") or {}).get("status") == "True":
        ready["lastTransitionTime"] = old["Ready"]["lastTransitionTime"]
    memory = os.sysconf("SC_PAGESIZE") * os.sysconf("SC_PHYS_PAGES")
    resources = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory // 1024}Ki", "pods": "200"}
    return {
        "conditions": [ready],
        "addresses": [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": platform.node()},
        ],
        "capacity": resources,
        "allocatable": resources,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "nodeInfo": {
            "kubeletVersion": f"serinus-sandbox-{__version__}",
            "containerRuntimeVersion": "process://1",
            "operatingSystem": "linux",
            "architecture": platform.machine(),
            "kernelVersion": platform.release(),
            "osImage": platform.platform(),
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
            "kubeProxyVersion": "",
        },
    }
