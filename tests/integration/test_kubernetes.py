"""The operator and the CRD against a real kube-apiserver with real controllers, without a node.

Needs SERINUS_TEST_KUBECONFIG: an admin kubeconfig of a cluster for tests. There is no kubelet and no
Gateway controller there, so the test says for the node and its pods that they are ready and for the
Gateway that it took the route; everything else is real: admission, defaulting, server-side apply, controllers,
garbage collection.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from serinus.api.types import format_time
from serinus.kube.client import KubeClient, connect
from serinus.ports import Conflict, Invalid, Kind, NotFound, Ref
from serinus.reconcile import kinds

ROOT = Path(__file__).parents[2]
KUBECONFIG = os.environ.get("SERINUS_TEST_KUBECONFIG")
pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif(not KUBECONFIG, reason="no real Kubernetes: set SERINUS_TEST_KUBECONFIG"),
]

CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
NODE = Kind("", "v1", "Node", "nodes")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
OWNED = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.HTTP_ROUTE, REPLICA_SET, kinds.POD)


async def eventually(what: str, check: Callable[[], Awaitable[Any]], seconds: float = 40) -> Any:
    """The first true answer of ``check``; fails with ``what`` when there is none in time."""
    last: Any = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                last = await check()
                if last:
                    return last
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}; last seen: {last!r}")


async def apply_crds(kube: KubeClient) -> None:
    shipped = yaml.safe_load((ROOT / "crds/serinus.dev_modeldeployments.yaml").read_text())
    routes = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "https://gateway-api.sigs.k8s.io"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io",
            "names": {
                "kind": "HTTPRoute", "listKind": "HTTPRouteList",
                "plural": "httproutes", "singular": "httproute",
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }  # fmt: skip
    for crd in (shipped, routes):
        ref = Ref(CRD, None, crd["metadata"]["name"])  # type: ignore[arg-type]
        # Created and merged, not applied: old API servers refuse to apply fields they do not know (CEL).
        if await kube.get(ref) is None:
            await kube.create(ref, crd)
        else:
            await kube.patch(ref, {"spec": crd["spec"]})

        async def established(ref: Ref = ref) -> bool:
            found = await kube.get(ref)
            conditions = (found or {}).get("status", {}).get("conditions") or ()
            return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

        await eventually(f"{crd['metadata']['name']} is established", established)


@pytest.fixture
async def kube() -> AsyncIterator[KubeClient]:
    client = await connect(KUBECONFIG)
    try:
        await apply_crds(client)
        yield client
    finally:
        await client.close()


@pytest.fixture
async def node(kube: KubeClient) -> AsyncIterator[None]:
    """A Node that nobody runs: the real scheduler and endpoint controllers want one."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    ref = Ref(NODE, None, name)  # type: ignore[arg-type]
    await kube.create(ref, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    room = {"cpu": "64", "memory": "64Gi", "pods": "200"}
    ready = {"type": "Ready", "status": "True", "reason": "Test", "lastHeartbeatTime": now()}
    status = {"capacity": room, "allocatable": room, "conditions": [ready]}
    await kube.patch(ref, {"status": status}, "status")
    yield
    found = await kube.get(ref)
    if found:
        await kube.delete(ref, found["metadata"]["uid"])


def now() -> str:
    return format_time(datetime.now(UTC))  # noqa: TID251


@pytest.fixture
async def namespace(kube: KubeClient) -> AsyncIterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    ref = Ref(NAMESPACE, None, name)  # type: ignore[arg-type]
    await kube.apply(ref, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    found = await kube.get(ref)
    if found:
        await kube.delete(ref, found["metadata"]["uid"])


class Operator:
    """The real operator as a process of its own."""

    def __init__(self, namespace: str, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(log.parent),
            "KUBECONFIG": KUBECONFIG or "",
            "SERINUS_NAMESPACES": namespace,
            "SERINUS_LEASE_NAMESPACE": namespace,
            "SERINUS_RESYNC_INTERVAL": "5s",  # objects at rest have their turn once in so long
            "SERINUS_DEFAULT_GATEWAY": "infra/public",
            "SERINUS_PROBE_HOST": "127.0.0.1",
            "SERINUS_PROBE_PORT": str(self._port),
            "SERINUS_ALLOW_FILE_URIS": "true",
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serinus.app"], env=self._environment, stderr=log, stdout=log
            )

    async def reconciles(self) -> float:
        """Reconciles that this process has finished, by its own metrics; 0 while it does not answer."""
        try:
            async with httpx2.AsyncClient() as client:
                text = (await client.get(f"http://127.0.0.1:{self._port}/metrics")).text
        except httpx2.HTTPError:
            return 0
        found = re.search(r"^serinus_operator_reconcile_seconds_count (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(timeout=15)


@pytest.fixture
async def operator(namespace: str, node: None, tmp_path: Path) -> AsyncIterator[Operator]:
    process = Operator(namespace, tmp_path / "operator.log")
    process.start()
    yield process
    process.stop(signal.SIGKILL)
    sys.stdout.write((tmp_path / "operator.log").read_text())  # shown when the test has failed


def model_folder(tmp_path: Path, content: str) -> str:
    folder = tmp_path / f"model-{content}"
    folder.mkdir()
    (folder / "MLmodel").write_text(f"flavors: {{}}\n# {content}\n")
    return f"file://{folder}"


def model_deployment(namespace: str, uri: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "churn", "namespace": namespace},
        "spec": {"model": {"uri": uri}, "traffic": {"hostnames": ["churn.example.com"]}, **spec},
    }


class Cluster:
    """What the test sees, and what it says in the place of kubelet and Gateway controller."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace
        self.ref = Ref(kinds.MODEL_DEPLOYMENT, namespace, "churn")

    async def status(self) -> dict[str, Any]:
        found = await self.kube.get(self.ref)
        return dict((found or {}).get("status") or {})

    async def pods_become_ready(self) -> None:
        """Every pod of ours says that it is ready, at an address of its own."""
        pods = await self.kube.list(kinds.POD, self.namespace, {"serinus.dev/name": "churn"})
        for index, pod in enumerate(pods):
            if (pod.get("status") or {}).get("podIP") or not pod["spec"].get("nodeName"):
                continue
            ready = [
                {"type": kind, "status": "True"}
                for kind in ("Ready", "ContainersReady", "PodScheduled")
            ]
            address = f"10.250.0.{index + 1}"
            status = {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": ready,
            }
            ref = Ref(kinds.POD, self.namespace, pod["metadata"]["name"])
            await self.kube.patch(ref, {"status": status}, "status")

    async def gateway_takes_route(self) -> None:
        """The route's Gateway says Accepted and ResolvedRefs at the route's generation."""
        ref = Ref(kinds.HTTP_ROUTE, self.namespace, "churn")
        route = await self.kube.get(ref)
        if route is None:
            return
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": kind,
                "message": "",
                "observedGeneration": route["metadata"]["generation"],
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parent = {
            "parentRef": route["spec"]["parentRefs"][0],
            "controllerName": "test",
            "conditions": conditions,
        }
        await self.kube.patch(ref, {"status": {"parents": [parent]}}, "status")

    async def serving(self) -> bool:
        await self.pods_become_ready()
        await self.gateway_takes_route()
        conditions = (await self.status()).get("conditions") or ()
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    async def pods_end(self) -> None:
        """What a kubelet says when the containers of a deleted pod have ended."""
        for pod in await self.kube.list(kinds.POD, self.namespace, {}):
            if "deletionTimestamp" in pod["metadata"]:
                path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
                now = {"gracePeriodSeconds": 0}
                await self.kube._request("DELETE", path, {}, now, "application/json")

    async def nothing_left(self) -> None:
        """Waits until the garbage collector, which looks for new kinds every 30 s only, is through."""

        async def gone() -> bool:
            await self.pods_end()
            return not await self.owned() and await self.kube.get(self.ref) is None

        try:
            await eventually("everything is gone", gone, seconds=100)
        finally:
            sys.stdout.write(f"left: {await self.owned()}\n")

    async def owned(self) -> list[str]:
        out = []
        for kind in OWNED:
            items = await self.kube.list(kind, self.namespace, {"serinus.dev/name": "churn"})
            out += [f"{kind.kind}/{item['metadata']['name']}" for item in items]
        return out


@pytest.fixture
async def cluster(kube: KubeClient, namespace: str) -> Cluster:
    return Cluster(kube, namespace)


async def test_the_api_server_fills_in_defaults_and_refuses_what_the_schema_forbids(
    cluster: Cluster,
) -> None:
    made = await cluster.kube.create(
        cluster.ref, model_deployment(cluster.namespace, "models:/churn/1")
    )
    assert made["spec"]["rollout"]["steps"][0] == {"weight": 5, "hold": "2m"}
    with pytest.raises(Invalid, match=r"spec\.server\.replicas"):
        await cluster.kube.patch(cluster.ref, {"spec": {"server": {"replicas": 0}}})
    with pytest.raises(Invalid, match=r"spec\.model\.uri"):
        await cluster.kube.patch(cluster.ref, {"spec": {"model": {"uri": "http://x"}}})


async def test_a_status_patch_with_a_stale_version_is_refused_even_when_it_changes_nothing(
    cluster: Cluster,
) -> None:
    """What the commit before every effect relies on."""
    made = await cluster.kube.create(
        cluster.ref, model_deployment(cluster.namespace, "models:/churn/1")
    )
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "status": {}}
    await cluster.kube.patch(cluster.ref, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        await cluster.kube.patch(cluster.ref, stale, "status")


async def test_the_object_becomes_a_deployment_a_service_and_a_route_and_deletion_leaves_nothing(
    cluster: Cluster, operator: Operator, tmp_path: Path
) -> None:
    uri = model_folder(tmp_path, "one")
    await cluster.kube.create(cluster.ref, model_deployment(cluster.namespace, uri))
    await eventually("the first revision serves", cluster.serving)
    status = await cluster.status()
    route = await cluster.kube.get(Ref(kinds.HTTP_ROUTE, cluster.namespace, "churn"))
    (backend,) = route["spec"]["rules"][0]["backendRefs"]
    assert backend["weight"] == 100
    assert backend["name"] == f"churn-{status['stable']['revision'][3:11]}"
    assert status["stable"]["readyReplicas"] == 2
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert (conditions["Ready"], conditions["Available"]) == ("True", "True")
    events = await cluster.kube.list(kinds.EVENT, cluster.namespace, {})
    reasons = [e["reason"] for e in events if e["involvedObject"]["kind"] == "ModelDeployment"]
    assert {"Initializing", "Pinned", "Serving"} <= set(reasons)

    found = await cluster.kube.get(cluster.ref)
    assert not found["metadata"].get("finalizers")
    assert not [a for a in found["metadata"].get("annotations") or {} if "kopf" in a]
    await cluster.kube.delete(cluster.ref, found["metadata"]["uid"])
    await cluster.nothing_left()


async def test_deletion_leaves_nothing_when_the_operator_is_gone(
    cluster: Cluster, operator: Operator, tmp_path: Path
) -> None:
    await cluster.kube.create(
        cluster.ref, model_deployment(cluster.namespace, model_folder(tmp_path, "one"))
    )
    await eventually("the first revision serves", cluster.serving)
    operator.stop(signal.SIGKILL)
    found = await cluster.kube.get(cluster.ref)
    await cluster.kube.delete(cluster.ref, found["metadata"]["uid"])
    await cluster.nothing_left()
    operator.start()


async def test_a_killed_operator_goes_on_from_the_status(
    cluster: Cluster, operator: Operator, tmp_path: Path
) -> None:
    await cluster.kube.create(
        cluster.ref, model_deployment(cluster.namespace, model_folder(tmp_path, "one"))
    )
    await eventually("the first revision serves", cluster.serving)
    stable = (await cluster.status())["stable"]["revision"]
    uri = model_folder(tmp_path, "two")
    await cluster.kube.patch(cluster.ref, {"spec": {"model": {"uri": uri}}})

    async def canary_scaling() -> bool:
        return "canary" in await cluster.status()

    await eventually("the canary starts", canary_scaling)
    operator.stop(signal.SIGKILL)
    before = await cluster.status()
    operator.start()

    async def canary_has_weight() -> bool:
        await cluster.pods_become_ready()
        await cluster.gateway_takes_route()
        return (await cluster.status()).get("canary", {}).get("observedWeight") == 5

    await eventually("the canary has its first weight", canary_has_weight)
    after = await cluster.status()
    assert after["canary"]["revision"] == before["canary"]["revision"]
    assert after["stable"]["revision"] == stable
    route = await cluster.kube.get(Ref(kinds.HTTP_ROUTE, cluster.namespace, "churn"))
    assert sorted(b["weight"] for b in route["spec"]["rules"][0]["backendRefs"]) == [5, 95]


async def test_an_operator_that_starts_again_changes_nothing_at_rest(
    cluster: Cluster, operator: Operator, tmp_path: Path
) -> None:
    """Changes only: a write that changes nothing leaves no trace here; the unit tests count those."""
    await cluster.kube.create(
        cluster.ref, model_deployment(cluster.namespace, model_folder(tmp_path, "one"))
    )
    await eventually("the first revision serves", cluster.serving)

    async def versions() -> dict[str, str]:
        out = {"": (await cluster.kube.get(cluster.ref))["metadata"]["resourceVersion"]}
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.HTTP_ROUTE):
            for item in await cluster.kube.list(kind, cluster.namespace, {}):
                out[kind.kind + item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
        return out

    seen: list[dict[str, str]] = []

    async def settled() -> bool:
        seen.append(await versions())
        return len(seen) >= 10 and all(one == seen[-1] for one in seen[-10:])

    await eventually("the changes stop", settled)
    operator.stop()
    operator.start()

    async def looked_twice() -> bool:
        return await operator.reconciles() >= 2

    await eventually("the new operator has looked at the object", looked_twice)
    assert await versions() == seen[-1]


async def test_an_http_route_of_somebody_else_is_left_alone(
    cluster: Cluster, operator: Operator, tmp_path: Path
) -> None:
    ref = Ref(kinds.HTTP_ROUTE, cluster.namespace, "churn")
    foreign = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "churn", "namespace": cluster.namespace},
        "spec": {"rules": []},
    }
    await cluster.kube.create(ref, foreign)
    await cluster.kube.create(
        cluster.ref, model_deployment(cluster.namespace, model_folder(tmp_path, "one"))
    )

    async def told() -> bool:
        await cluster.pods_become_ready()
        conditions = (await cluster.status()).get("conditions") or ()
        return any(c["type"] == "Ready" and c["reason"] == "RouteConflict" for c in conditions)

    await eventually("the conflict is told", told)
    assert (await cluster.kube.get(ref))["spec"] == {"rules": []}


async def test_a_missing_kind_is_an_error_not_an_empty_list(kube: KubeClient) -> None:
    with pytest.raises(NotFound):
        await kube.list(Kind("nobody.example.com", "v1", "Nothing", "nothings"), None, {})
