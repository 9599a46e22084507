"""The simulation's API server answers the operator as the sandbox's and as a real one do."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from bench.operator.cluster import install
from tests.simulation.store import Store

from serinus.kube.client import connect
from serinus.sandbox.client import KubeClient as AdminClient
from serinus.sandbox.resources import NAMESPACES

from .calls import SCRIPTS, Calls, StoreKube
from .conftest import Server

REAL = os.environ.get("SERINUS_TEST_KUBECONFIG")


async def simulated(name: str) -> list[Any]:
    store = Store(lambda: 0.0)
    store.namespaces["conformance"] = "Active"
    calls = Calls(StoreKube(store), "conformance")
    await SCRIPTS[name](calls)
    return calls.outcomes


async def served(name: str, kubeconfig: Path) -> list[Any]:
    namespace = f"conformance-{secrets.token_hex(4)}"
    async with AdminClient.from_kubeconfig(kubeconfig) as admin:
        await install(admin)
        await admin.create(NAMESPACES, {"metadata": {"name": namespace}})
    kube = await connect(str(kubeconfig))
    try:
        calls = Calls(kube, namespace)
        await SCRIPTS[name](calls)
        return calls.outcomes
    finally:
        await kube.close()


@pytest.mark.cluster
@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_simulated_store_answers_as_the_sandbox(name: str, server: Server) -> None:
    assert await simulated(name) == await served(name, server.kubeconfig)


@pytest.mark.kubernetes
@pytest.mark.skipif(not REAL, reason="SERINUS_TEST_KUBECONFIG names no cluster")
@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_simulated_store_answers_as_a_real_server(name: str) -> None:
    assert await simulated(name) == await served(name, Path(REAL or ""))
