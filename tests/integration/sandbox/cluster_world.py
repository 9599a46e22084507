"""A sandbox without operator and MLflow, one for each worker, and what the tests need in it.

With SERINUS_TEST_KUBECONFIG the tests of pods and of traffic run with a real API server, real
controllers and a real scheduler: what holds there and fails in the sandbox is the sandbox's bug.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import aiohttp
import pytest
import yaml

from serinus.sandbox import apiserver
from serinus.sandbox.client import ApiError, KubeClient
from serinus.sandbox.cluster import Sandbox
from serinus.sandbox.parts import Layout, Ports, Settings, make
from serinus.sandbox.processes import free_port
from serinus.sandbox.resources import (
    CRDS,
    DEPLOYMENTS,
    GATEWAYS,
    HTTP_ROUTES,
    NAMESPACES,
    PODS,
    SERVICES,
)
from serinus.sandbox.supervisor import Supervisor

Object = dict[str, Any]
GATEWAY_CRDS = Path(apiserver.__file__).parent / "crds"
STAND_IN = Path(__file__).parent / "stand_in.py"
BARE = Settings(name="test", with_mlflow=False, with_prometheus=False, with_operator=False)


class Cluster(Protocol):
    """What the tests need of a cluster: a sandbox has it, and a real control plane as well."""

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def gateway_url(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RealControlPlane:
    """A real API server, controllers and scheduler, with our node and gateway."""

    kubeconfig: Path
    gateway_url: str


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The sandbox; with SERINUS_TEST_KUBECONFIG our node and gateway in that cluster instead."""
    folder = tmp_path_factory.mktemp("sandbox")
    if real := os.environ.get("SERINUS_TEST_KUBECONFIG"):
        yield from _joined(Path(real), folder)
        return
    made = Sandbox(BARE, folder=folder)
    asyncio.run(made.up())
    yield made
    asyncio.run(made.down())


def _joined(kubeconfig: Path, folder: Path) -> Iterator[RealControlPlane]:
    port = free_port()
    for name in ("run", "logs"):
        (folder / name).mkdir()
    layout = Layout(folder)
    layout.kubeconfig.symlink_to(kubeconfig)
    supervisor = Supervisor(layout, tie=True)
    ours = [make(name, BARE, Ports(0, port, 0, 0, 0), layout) for name in ("node", "gateway")]

    async def join() -> None:
        async with KubeClient.from_kubeconfig(kubeconfig) as client:
            for file in sorted(GATEWAY_CRDS.glob("*.yaml")):
                for crd in yaml.safe_load_all(file.read_text()):
                    if await client.find(CRDS, crd["metadata"]["name"]) is None:
                        await client.create(CRDS, _loose(crd))
            await client.apply(NAMESPACES, {"metadata": {"name": "infra"}}, "test")
            everyone = {"namespaces": {"from": "All"}}
            listener = {"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": everyone}
            spec = {"gatewayClassName": "sandbox", "listeners": [listener]}
            gateway = {"metadata": {"name": "public", "namespace": "infra"}, "spec": spec}

            async def applied() -> bool:
                try:
                    await client.apply(GATEWAYS, gateway, "test")
                except ApiError as error:
                    if error.not_found:  # the CRD is not served yet
                        return False
                    raise
                return True

            await eventually(applied)
        for part in ours:
            supervisor.spawn(part)
            await supervisor.wait_ready(part)

    try:
        asyncio.run(join())
        yield RealControlPlane(kubeconfig, f"http://127.0.0.1:{port}")
    finally:
        asyncio.run(supervisor.stop([part.name for part in ours]))
        supervisor.close()


def _loose(crd: Object) -> Object:
    """A CRD without its schema: old API servers refuse parts of today's."""
    for version in crd["spec"]["versions"]:
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version["schema"] = {"openAPIV3Schema": anything}
    return crd


class World:
    """One namespace of a sandbox."""

    def __init__(self, sandbox: Cluster, client: KubeClient, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.client = client
        self.http = http
        self.namespace = f"t-{uuid4().hex[:8]}"

    async def pod(self, name: str, container: Object, **spec: Any) -> None:
        full = {"name": "c", "image": "serinus-server:test", **container}
        meta = {"name": name, "namespace": self.namespace}
        body = {"metadata": meta, "spec": {"containers": [full], **spec}}

        async def created() -> bool:
            try:
                await self.client.create(PODS, body)
            except ApiError as error:
                if error.status in {403, 500}:  # a real cluster's namespace is not ready at once
                    return False
                raise
            return True

        await eventually(created)

    async def serve(self, name: str, replicas: int = 1, **container: Any) -> None:
        """A Deployment of the stand-in server that answers ``name``, and its Service."""
        labels = {"app": name}
        full = {
            "name": "c",
            "image": "serinus-server:test",
            "command": [sys.executable, str(STAND_IN), "8080"],
            "env": [{"name": "NAME", "value": name}],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 1},
            **container,
        }
        meta = {"name": name, "namespace": self.namespace}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [full], "terminationGracePeriodSeconds": 5},
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        await self.client.create(DEPLOYMENTS, {"metadata": meta, "spec": spec})
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        await self.client.create(
            SERVICES, {"metadata": meta, "spec": {"selector": labels, "ports": ports}}
        )

    async def available(self, name: str, replicas: int = 1) -> None:
        async def check() -> bool:
            found = await self.client.get(DEPLOYMENTS, name, self.namespace)
            status = found.get("status") or {}
            return (
                status.get("observedGeneration") == found["metadata"]["generation"]
                and status.get("updatedReplicas") == replicas
                and status.get("replicas") == replicas
                and status.get("availableReplicas") == replicas
            )

        await eventually(check)

    async def route(self, **weights: int) -> None:
        """Route the namespace's own host, and wait until the gateway says that it does."""
        references = [{"name": n, "port": 80, "weight": w} for n, w in weights.items()]
        body = {
            "metadata": {"name": "route", "namespace": self.namespace},
            "spec": {
                "parentRefs": [{"name": "public", "namespace": "infra"}],
                "hostnames": [self.host],
                "rules": [{"backendRefs": references}],
            },
        }
        written = await self.client.apply(HTTP_ROUTES, body, "test")

        async def check() -> bool:
            found = await self.client.get(HTTP_ROUTES, "route", self.namespace)
            parents = (found.get("status") or {}).get("parents") or []
            generation = written["metadata"]["generation"]
            return any(
                c["observedGeneration"] == generation for p in parents for c in p["conditions"]
            )

        await eventually(check)

    @property
    def host(self) -> str:
        return f"{self.namespace}.example.com"

    async def ask(self, path: str = "/") -> tuple[int, str]:
        """A request through the gateway: status and body."""
        url = self.sandbox.gateway_url + path
        async with self.http.get(url, headers={"Host": self.host}) as response:
            return response.status, await response.text()

    async def pods(self) -> list[Object]:
        return list((await self.client.list(PODS, self.namespace)).items)

    async def container(self, pod: str) -> Object:
        """The status of a pod's first container; empty as long as there is none."""
        found = await self.client.get(PODS, pod, self.namespace)
        statuses = (found.get("status") or {}).get("containerStatuses") or [{}]
        status: Object = statuses[0]
        return status


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait until a condition holds; after ``seconds`` that is a failure."""
    async with asyncio.timeout(seconds):
        while True:
            if await check():
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def world(sandbox: Cluster) -> AsyncIterator[World]:
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        KubeClient.from_kubeconfig(sandbox.kubeconfig) as client,
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        made = World(sandbox, client, http)
        await client.create(NAMESPACES, {"metadata": {"name": made.namespace}})
        yield made
        await client.delete(NAMESPACES, made.namespace)
