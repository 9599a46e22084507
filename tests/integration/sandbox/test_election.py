"""Two operators, one Lease: who works, who takes over, and what a deposed one does."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cluster_world import eventually

from serinus.sandbox.client import KubeClient
from serinus.sandbox.cluster import Sandbox
from serinus.sandbox.parts import Settings
from serinus.sandbox.processes import free_port
from serinus.sandbox.resources import LEASES

pytestmark = pytest.mark.cluster

# Long enough for a busy machine, and shorter than the defaults.
TIMES = {
    "SERINUS_LEASE_DURATION": "6s",
    "SERINUS_LEASE_RENEW_DEADLINE": "4s",
    "SERINUS_LEASE_RETRY": "500ms",
}
BARE = Settings(name="e", with_mlflow=False, with_prometheus=False, operator_env=TIMES)


class Operator:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url, self._http = url, http

    async def probe(self, path: str) -> tuple[int, str]:
        async with self._http.get(f"{self.url}{path}") as answer:
            return answer.status, (await answer.text()).strip()

    async def metric(self, name: str) -> float | None:
        _, text = await self.probe("/metrics")
        found = re.search(rf"^serinus_operator_{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    async def leads(self) -> bool:
        try:
            return await self.metric("leader") == 1
        except aiohttp.ClientConnectionError:
            return False

    async def stands_by(self) -> bool:
        try:
            return (await self.probe("/readyz"))[0] == 200 and await self.metric("leader") == 0
        except aiohttp.ClientConnectionError:
            return False


class Own(Operator):
    """One that the test runs itself."""

    def __init__(
        self, url: str, http: aiohttp.ClientSession, process: asyncio.subprocess.Process, log: Path
    ) -> None:
        super().__init__(url, http)
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def ends(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def operator(
    sandbox: Sandbox, http: aiohttp.ClientSession, folder: Path, **more: str
) -> AsyncIterator[Own]:
    port, log = free_port(), folder / "own.log"
    environment: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "KUBECONFIG": str(sandbox.state_dir / "operator.kubeconfig"),
        "SERINUS_PROBE_HOST": "127.0.0.1",
        "SERINUS_PROBE_PORT": str(port),
        **TIMES,
        **more,
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "serinus.app", env=environment, stdout=out, stderr=out
        )
    try:
        yield Own(f"http://127.0.0.1:{port}", http, process, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        sys.stdout.write(log.read_text())  # shown when the test has failed


async def holder(client: KubeClient) -> tuple[str | None, int]:
    lease = await client.get(LEASES, "serinus-leader", "serinus-system")
    return lease["spec"].get("holderIdentity"), lease["spec"]["leaseTransitions"]


async def test_of_two_operators_one_works_and_the_other_takes_over(tmp_path: Path) -> None:
    async with (
        Sandbox(BARE, folder=tmp_path / "s") as sandbox,
        KubeClient.from_kubeconfig(sandbox.kubeconfig) as client,
        aiohttp.ClientSession() as http,
    ):
        first = Operator(str(sandbox.operator_url), http)
        await eventually(first.leads)
        _, epoch = await holder(client)
        async with operator(sandbox, http, tmp_path) as second:
            await eventually(second.stands_by)
            _, text = await second.probe("/metrics")
            assert set(re.findall(r'resource="([^"]+)"', text)) == {"leases"}
            assert (await second.probe("/healthz")) == (200, "ok")

            # A clean stop hands over at once: the Lease would have run for six seconds more.
            loop = asyncio.get_running_loop()
            began = loop.time()
            await sandbox.stop("operator")
            await eventually(second.leads)
            took = loop.time() - began
            sys.stdout.write(f"hand-over after a clean stop: {took:.2f} s\n")
            assert took < 4
            assert (await holder(client))[1] == epoch + 1
            assert await second.metric("epoch") == epoch + 1

            # A leader that is frozen is replaced, and ends when it wakes up.
            await sandbox.start("operator")
            second.process.send_signal(signal.SIGSTOP)
            began = loop.time()
            await eventually(first.leads)
            sys.stdout.write(f"take-over from a frozen one: {loop.time() - began:.2f} s\n")
            second.process.send_signal(signal.SIGCONT)
            assert await second.ends() == 1
            assert "another operator may lead now" in second.log
            assert "Traceback" not in second.log
            assert await first.leads()
            assert (await holder(client))[1] == epoch + 2


async def test_an_operator_that_may_not_use_the_lease_says_so_and_works_on_nothing(
    tmp_path: Path,
) -> None:
    async with (
        Sandbox(BARE, folder=tmp_path / "s") as sandbox,
        aiohttp.ClientSession() as http,
        operator(sandbox, http, tmp_path, SERINUS_LEASE_NAMESPACE="default") as forbidden,
    ):

        async def told() -> bool:
            try:
                status, text = await forbidden.probe("/readyz")
            except aiohttp.ClientConnectionError:
                return False
            return status == 503 and "manifests/rbac.yaml" in text

        await eventually(told)
        assert (await forbidden.probe("/healthz")) == (200, "ok")
        assert forbidden.log.count("the Lease cannot be used") == 1
        assert await forbidden.metric("leader") == 0
