"""The condition of an object that crashes the operator, on an API server that checks the schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cluster_world import Cluster

from serinus.api import names
from serinus.core.observed import Defaults
from serinus.kube.client import KubeClient, connect
from serinus.ports import Ref
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps, Key
from serinus.reconcile.poison import REASON, mark

pytestmark = pytest.mark.cluster


class Nothing:
    """Is not asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def kube(sandbox: Cluster) -> AsyncIterator[KubeClient]:
    client = await connect(str(sandbox.kubeconfig))
    yield client
    await client.close()


@pytest.fixture
async def key(kube: KubeClient) -> Key:
    key = Key("default", f"odd-{uuid4().hex[:8]}")
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"model": {"uri": "models:/churn/1"}, "traffic": {"hostnames": ["a.example.com"]}},
    }
    await kube.create(Ref(kinds.MODEL_DEPLOYMENT, key.namespace, key.name), manifest)
    return key


async def test_it_is_taken_on_a_status_that_is_empty_and_on_one_that_is_not(kube, key) -> None:
    none: Any = Nothing()
    deps = Deps(kube, none, none, Clock(), Defaults("image", None, timedelta(seconds=30)), "")
    ref = Ref(kinds.MODEL_DEPLOYMENT, key.namespace, key.name)

    first = await mark(key, deps, "KeyError")
    live = await kube.get(ref)
    (ready,) = live["status"]["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", REASON)
    assert live["metadata"]["resourceVersion"] == first

    meta = {"resourceVersion": first}
    other = {**ready, "type": "Available", "status": "True", "reason": "AllReady"}
    true = {**ready, "status": "True", "reason": "Serving"}
    status = {"url": "http://a.example.com/", "conditions": [true, other]}
    await kube.patch(ref, {"metadata": meta, "status": status}, "status")
    await mark(key, deps, "TypeError")
    live = await kube.get(ref)
    assert live["status"]["url"] == "http://a.example.com/"
    told = {c["type"]: c["reason"] for c in live["status"]["conditions"]}
    assert told == {"Ready": REASON, "Available": "AllReady"}

    again = await mark(key, deps, "TypeError")
    assert again == live["metadata"]["resourceVersion"], "nothing new, nothing written"
