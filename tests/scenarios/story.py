"""Given, when, then: the words in which the scenarios are told."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Callable
from typing import Any, Self

import pytest

from serinus.api import names
from serinus.api.status import ModelDeploymentStatus
from serinus.kube.client import KubeClient
from serinus.ports import Kind, Ref
from serinus.reconcile import kinds
from serinus.reconcile.act import merge_patch
from serinus.sandbox.cluster import Sandbox
from serinus.sandbox.demo.traffic import Account, Load, Outcome
from serinus.sandbox.demo.training import LiveRows

NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
MODEL = "tumor"  # versions 1 and 2 are good; 3 raises on some of the rows and is slow on others
RATE = 40.0  # per second: two cores serve this beside everything else that runs there

SPEC: dict[str, Any] = {
    "server": {"replicas": 1, "warmup": {"requests": 1}, "loadTimeout": "60s"},
    "rollout": {
        "steps": [{"weight": 20, "hold": "3s"}, {"weight": 60, "hold": "3s"}],
        "progressDeadline": "3m",
        "scaleDownDelay": "2s",
    },
    "analysis": {
        "interval": "1s",
        "failureThreshold": 3,
        "minRequests": 10,
        "metrics": [
            {"name": "errors", "type": "ErrorRate", "max": "0.01"},
            {"name": "latency", "type": "Latency", "max": "5s"},
        ],
    },
}


class Story:
    """One ModelDeployment in a namespace of its own, under real requests."""

    def __init__(self, sandbox: Sandbox, kube: KubeClient, rows: LiveRows) -> None:
        self.sandbox, self.kube, self.rows = sandbox, kube, rows
        self.namespace = f"story-{uuid.uuid4().hex[:6]}"
        self.host = f"{self.namespace}.example.com"
        self.account = Account()
        self.ref = Ref(kinds.MODEL_DEPLOYMENT, self.namespace, "churn")
        self._requests: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        ref = Ref(NAMESPACE, None, self.namespace)  # type: ignore[arg-type]
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.kube.create(ref, manifest)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.requests_stop()
        ref = Ref(NAMESPACE, None, self.namespace)  # type: ignore[arg-type]
        found = await self.kube.get(ref)
        if found is not None:
            await self.kube.delete(ref, found["metadata"]["uid"])

    # given ------------------------------------------------------------------------------------

    async def given_version_1_serves(self, **spec: Any) -> None:
        await self.apply("1", **spec)
        await self.then("version 1 serves", lambda s: serves(s, "1"))

    async def given_requests_flow(self) -> None:
        url = self.sandbox.gateway_url
        load = Load(url, self.host, self.rows, self.account, rate=RATE)
        self._requests = asyncio.create_task(load.run())

    async def requests_stop(self) -> None:
        if self._requests is not None:
            self._requests.cancel()
            await asyncio.wait([self._requests])
            self._requests = None

    # when -------------------------------------------------------------------------------------

    def manifest(self, version: str, **spec: Any) -> dict[str, Any]:
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": "churn", "namespace": self.namespace},
            "spec": {
                **SPEC,
                "model": {"uri": f"models:/{MODEL}/{version}"},
                "traffic": {"hostnames": [self.host]},
                **spec,
            },
        }

    async def apply(self, version: str, **spec: Any) -> None:
        wanted = self.manifest(version, **spec)
        live = await self.kube.get(self.ref)
        if live is None:
            await self.kube.create(self.ref, wanted)
            return
        patch = merge_patch(live["spec"], wanted["spec"])
        await self.kube.patch(self.ref, {"spec": patch})

    async def the_operator_is_killed_and_started_again(self) -> None:
        await self.sandbox.kill("operator")
        await self.sandbox.start("operator")

    def kubectl(
        self, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [
            "kubectl",
            "--kubeconfig",
            str(self.sandbox.kubeconfig),
            "-n",
            self.namespace,
            *arguments,
        ]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    # then -------------------------------------------------------------------------------------

    async def status(self) -> ModelDeploymentStatus:
        found = await self.kube.get(self.ref)
        return ModelDeploymentStatus.model_validate((found or {}).get("status") or {})

    async def then(
        self, what: str, holds: Callable[[ModelDeploymentStatus], Any], seconds: float = 150
    ) -> ModelDeploymentStatus:
        """Waits until the status is as told; fails with the last status when it never is."""
        status = await self.status()
        try:
            async with asyncio.timeout(seconds):
                while not holds(status):
                    await asyncio.sleep(0.1)
                    status = await self.status()
        except TimeoutError:
            log = self.sandbox.log("operator").read_text()[-3000:]
            pytest.fail(
                f"not within {seconds} s: {what}\n{status.model_dump_json(indent=1)}\n{log}"
            )
        return status

    async def nothing_is_left(self, seconds: float = 40) -> None:
        left: list[str] = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    left = await self.owned()
                    if not left:
                        return
                    await asyncio.sleep(0.2)
        except TimeoutError:
            pytest.fail(f"still there after {seconds} s: {left}")

    async def owned(self) -> list[str]:
        out = []
        for kind in (
            kinds.DEPLOYMENT, REPLICA_SET, kinds.POD, kinds.SERVICE, kinds.ENDPOINT_SLICE, kinds.HTTP_ROUTE,
        ):  # fmt: skip
            found = await self.kube.list(kind, self.namespace, {names.LABEL_NAME: "churn"})
            out += [f"{kind.kind}/{item['metadata']['name']}" for item in found]
        return out

    async def weights(self) -> dict[str, int]:
        """The route's weights by the name of the Service."""
        route = await self.kube.get(Ref(kinds.HTTP_ROUTE, self.namespace, "churn"))
        backends = (route or {}).get("spec", {}).get("rules", [{}])[0].get("backendRefs", ())
        return {ref["name"]: ref["weight"] for ref in backends}

    async def only_answered_by(self, version: str, seconds: float = 20) -> None:
        """Waits for what is in flight elsewhere, then for a second of answers by one version alone."""
        answering: set[str] = set()
        for _ in range(round(seconds)):
            before = dict(self.account.shares())
            await asyncio.sleep(1.0)
            after = self.account.shares()
            answering = {v for v, count in after.items() if count > before.get(v, 0)}
            if answering == {version}:
                return
        pytest.fail(f"after {seconds} s the answers still come from versions {answering}")

    def refused(self) -> int:
        return self.account.total(outcome=Outcome.REFUSED) + self.account.total(
            outcome=Outcome.WRONG
        )


def serves(status: ModelDeploymentStatus, version: str) -> bool:
    """The version is stable, confirmed by the router, and nothing is under way."""
    return (
        status.stable is not None
        and status.stable.resolved_version == version
        and status.stable.observed_weight == 100
        and status.rollout is None
        and status.phase in {"Ready", "RolledBack"}
    )


def promoted(version: str) -> Callable[[ModelDeploymentStatus], bool]:
    return lambda status: serves(status, version) and status.phase == "Ready"


def rolled_back(version: str) -> Callable[[ModelDeploymentStatus], bool]:
    return lambda status: (
        status.phase == "RolledBack"
        and status.failed is not None
        and status.failed.resolved_version == version
        and status.rollout is None
    )


def canary_has_traffic(status: ModelDeploymentStatus) -> bool:
    return bool(status.canary and status.canary.observed_weight)
