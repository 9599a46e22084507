"""The operator on a real kube-apiserver with real controllers, without a kubelet and a Gateway.

Needs SERINUS_TEST_KUBECONFIG: an admin kubeconfig of a cluster for tests. Node and Gateway are stood in
for (``bench.operator.standins``); everything else is real: admission, defaulting, server-side apply,
controllers, scheduler, garbage collection, and the operator's permissions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from bench.operator.cluster import install  # noqa: E402 - found by the line above
from control_plane import World, a_world  # noqa: E402 - found by the line above
from stories import make_models  # noqa: E402
from telling import undisturbed  # noqa: E402

from serinus.kube.client import KubeClient, connect  # noqa: E402
from serinus.sandbox.client import KubeClient as SandboxClient  # noqa: E402

KUBECONFIG = os.environ.get("SERINUS_TEST_KUBECONFIG")
_CLUSTER_FIXTURES = {"world", "kube"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses the cluster is marked so, and skipped where there is none."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        if _CLUSTER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kubernetes)
            if not KUBECONFIG:
                reason = "no real Kubernetes: set SERINUS_TEST_KUBECONFIG"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """URIs of models by name; the same ones for every test, as revisions depend on them."""
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def known() -> dict[str, Any]:
    """How the stories end without interference, once they were told so."""
    return {}


@pytest.fixture
async def expected(world: World, models: dict[str, str], known: dict[str, Any]) -> dict[str, Any]:
    """The terminal facts of both stories, of one undisturbed run for all tests."""
    if not known:
        known |= await undisturbed(world, models)
    return known


@pytest.fixture
async def kube() -> AsyncIterator[KubeClient]:
    """The operator's own client, with an admin's rights."""
    admin = Path(KUBECONFIG or "")
    async with SandboxClient.from_kubeconfig(admin) as client:
        await install(client)
    own = await connect(str(admin))
    try:
        yield own
    finally:
        await own.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(Path(KUBECONFIG or ""), tmp_path) as made:
        yield made
    if made.log.exists():
        sys.stdout.write(made.log.read_text())  # shown when the test has failed
