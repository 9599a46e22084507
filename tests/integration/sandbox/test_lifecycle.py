"""The sandbox itself: parts that die, several at once, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from cluster_world import BARE, STAND_IN, World, eventually

from serinus.api import names
from serinus.sandbox.client import ApiError, KubeClient
from serinus.sandbox.cluster import Sandbox
from serinus.sandbox.parts import Settings
from serinus.sandbox.processes import ProcessId
from serinus.sandbox.resources import NODES, PODS, SECRETS, Resource

pytestmark = pytest.mark.cluster

MODEL_DEPLOYMENTS = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)


def pids_under(folder: Path) -> list[int]:
    """Processes whose command line or folder names this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or ProcessId.of(int(entry.name)) is None:
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            where = str((entry / "cwd").readlink())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if str(folder).encode() in words or where.startswith(str(folder)):
            found.append(int(entry.name))
    return found


def programs_under(folder: Path) -> set[str]:
    """Names of the programs of those processes."""
    return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids_under(folder)}


async def test_a_killed_node_takes_its_pods_along_and_starts_them_again(tmp_path: Path) -> None:
    async with (
        Sandbox(BARE, folder=tmp_path / "s") as sandbox,
        KubeClient.from_kubeconfig(sandbox.kubeconfig) as client,
        aiohttp.ClientSession() as http,
    ):
        world = World(sandbox, client, http)
        world.namespace = "default"
        await world.pod("p", {"command": [sys.executable, str(STAND_IN), "8080"]})

        async def runs() -> bool:
            return bool((await world.container("p")).get("ready"))

        await eventually(runs)
        before = await world.container("p")
        process = ProcessId.of(int(before["containerID"].removeprefix("sandbox://")))
        assert process is not None

        await sandbox.kill("node")

        async def dead() -> bool:
            return not process.is_alive()

        await eventually(dead, seconds=5)
        assert [s.name for s in sandbox.states() if s.pid is None] == ["node"]

        await sandbox.start("node")

        async def runs_again() -> bool:
            status = await world.container("p")
            return bool(status.get("ready") and status["containerID"] != before["containerID"])

        await eventually(runs_again)
        after = await world.container("p")
        assert after["restartCount"] == 1
        assert after["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert pids_under(tmp_path) == []
    assert not (tmp_path / "s").exists()


async def test_two_sandboxes_do_not_meet(tmp_path: Path) -> None:
    async with (
        Sandbox(BARE, folder=tmp_path / "a") as sandbox,
        Sandbox(BARE, folder=tmp_path / "b") as other,
    ):
        addresses = set()
        for one in (sandbox, other):
            async with KubeClient.from_kubeconfig(one.kubeconfig) as client:
                (node,) = (await client.list(NODES)).items
                addresses.add(node["status"]["addresses"][0]["address"])
        assert len(addresses) == 2
        assert other.gateway_url != sandbox.gateway_url


async def test_the_operator_has_its_own_rights_and_starts_again_after_a_kill(
    tmp_path: Path,
) -> None:
    settings = Settings(name="o", with_mlflow=False, with_prometheus=False)
    async with Sandbox(settings, folder=tmp_path / "s") as sandbox, aiohttp.ClientSession() as http:
        own = tmp_path / "s" / "operator.kubeconfig"
        async with KubeClient.from_kubeconfig(own) as client:
            await client.list(MODEL_DEPLOYMENTS)
            with pytest.raises(ApiError) as refused:
                await client.list(SECRETS)
        assert refused.value.status == 403
        assert "system:serviceaccount:serinus-system:serinus" in str(refused.value)

        await sandbox.kill("operator")
        assert [s.name for s in sandbox.states() if s.pid is None] == ["operator"]
        await sandbox.start("operator")
        async with http.get(f"{sandbox.operator_url}/healthz") as response:
            assert response.status == 200


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus on this machine")
async def test_prometheus_finds_pods_by_annotation_and_survives_a_restart(tmp_path: Path) -> None:
    settings = Settings(name="p", with_mlflow=False, with_operator=False, scrape_interval=0.5)
    async with (
        Sandbox(settings, folder=tmp_path / "s") as sandbox,
        KubeClient.from_kubeconfig(sandbox.kubeconfig) as client,
        aiohttp.ClientSession() as http,
    ):
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
        container = {
            "name": "c",
            "image": "serinus-server:test",
            "command": [sys.executable, str(STAND_IN), "8080"],
            "ports": [{"containerPort": 8080}],
        }
        meta = {"name": "p", "namespace": "default", "annotations": annotations}
        await client.create(PODS, {"metadata": meta, "spec": {"containers": [container]}})

        async def labels() -> list[dict[str, str]]:
            url = f"{sandbox.prometheus_url}/api/v1/query"
            async with http.get(url, params={"query": "stand_in_up"}) as response:
                body = await response.json()
            return [series["metric"] for series in body["data"]["result"]]

        async def scraped() -> bool:
            return bool(await labels())

        await eventually(scraped, seconds=30)
        (series,) = await labels()
        assert (series["namespace"], series["pod"]) == ("default", "p")

        url = sandbox.prometheus_url
        await sandbox.stop("prometheus")
        with pytest.raises(aiohttp.ClientConnectionError):
            await labels()
        await sandbox.start("prometheus")
        assert sandbox.prometheus_url == url
        await eventually(scraped, seconds=30)


OWNER = """
import asyncio, sys
from pathlib import Path
from serinus.sandbox.cluster import Sandbox
from serinus.sandbox.parts import Settings

bare = Settings(name="x", with_mlflow=False, with_prometheus=False, with_operator=False)

async def main():
    async with Sandbox(bare, folder=Path(sys.argv[1])):
        print("up", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_nothing_outlives_a_killed_owner_not_even_children_of_containers(
    tmp_path: Path,
) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(tmp_path / "s"), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"up\n"
    async with KubeClient.from_kubeconfig(tmp_path / "s" / "kubeconfig") as client:
        container = {
            "name": "c",
            "image": "serinus-server:test",
            "command": ["sh", "-c", "sleep 1000 & wait"],
        }
        meta = {"name": "p", "namespace": "default"}
        await client.create(PODS, {"metadata": meta, "spec": {"containers": [container]}})

        async def has_a_child() -> bool:
            return "sleep" in programs_under(tmp_path / "s" / "node")

        await eventually(has_a_child)
    owner.kill()
    await owner.wait()

    async def nobody_is_left() -> bool:
        return pids_under(tmp_path) == []

    await eventually(nobody_is_left, seconds=10)


def command(
    folder: Path, *arguments: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_STATE_HOME": str(folder)}
    if path is not None:
        env["PATH"] = path
    return subprocess.run(
        [sys.executable, "-m", "serinus.sandbox", *arguments],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


BARE_OPTIONS = ("--no-mlflow", "--no-prometheus", "--no-operator")


def test_up_status_down_by_hand(tmp_path: Path) -> None:
    assert command(tmp_path, "status").returncode == 3
    up = command(tmp_path, "up", *BARE_OPTIONS)
    try:
        assert up.returncode == 0, up.stderr
        assert "export KUBECONFIG=" in up.stderr
        again = command(tmp_path, "up", *BARE_OPTIONS)
        assert again.returncode == 0
        assert "is up already" in again.stderr

        status = command(tmp_path, "status", "-o", "json")
        assert status.returncode == 0
        found = json.loads(status.stdout)
        assert all(part["running"] for part in found["parts"])
        assert command(tmp_path, "kubeconfig").stdout.strip() == found["kubeconfig"]
        assert "ready" in command(tmp_path, "logs", "node").stdout

        victim = next(part for part in found["parts"] if part["name"] == "controllers")
        os.kill(victim["pid"], 9)
        process = ProcessId.of(victim["pid"])

        async def dead() -> bool:
            return process is None or not process.is_alive()

        asyncio.run(eventually(dead, seconds=5))
        status = command(tmp_path, "status")
        assert status.returncode == 1
        assert "DEAD" in status.stdout
    finally:
        down = command(tmp_path, "down")
    assert down.returncode == 0
    assert pids_under(tmp_path) == []
    assert not (tmp_path / "serinus/sandbox/default").exists()
    assert command(tmp_path, "down").returncode == 0


def test_a_part_that_dies_at_start_shows_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    broken = programs / "prometheus"
    broken.write_text("#!/bin/sh\necho the disk is on fire >&2\nexit 1\n")
    broken.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    up = command(tmp_path, "up", "--no-mlflow", "--no-operator", path=path)
    assert up.returncode == 1
    assert "the disk is on fire" in up.stderr
    assert "logs/prometheus.log" in up.stderr
    assert pids_under(tmp_path) == []


def test_ctrl_c_while_it_starts_leaves_nothing_running(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "serinus.sandbox", "up", "--no-prometheus", "--no-operator"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if "apiserver" in line:  # and MLflow will still need seconds
                process.send_signal(2)
                break
        process.stderr.read()
    assert process.returncode == 130
    assert pids_under(tmp_path) == []
