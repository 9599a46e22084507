"""The process from start to SIGTERM, against an API server of canned answers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from serinus.api import names

GROUP = {"groupVersion": f"{names.GROUP}/{names.VERSION}", "version": names.VERSION}
OURS = {
    "name": names.PLURAL, "singularName": "", "kind": names.KIND,
    "namespaced": True, "verbs": ["list", "watch"],
}  # fmt: skip
NAMESPACES = {
    "name": "namespaces", "singularName": "", "kind": "Namespace",
    "namespaced": False, "verbs": ["list", "watch"],
}  # fmt: skip


class ApiServer:
    """Knows no kind, and ours once ``served`` is set."""

    def __init__(self) -> None:
        self.served = False
        self.kind = OURS
        self.watched = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = self._body(request.path) if self.served else None
        if body is None:
            return web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)
        if "watch" not in request.query:
            return web.json_response(body)
        stream = web.StreamResponse()
        await stream.prepare(request)
        self.watched.set()
        await asyncio.Event().wait()  # until the connection ends
        return stream

    def _body(self, path: str) -> dict[str, Any] | None:
        return {
            "/apis": {
                "groups": [{"name": names.GROUP, "versions": [GROUP], "preferredVersion": GROUP}]
            },
            f"/apis/{names.GROUP}/{names.VERSION}": {"resources": [self.kind]},
            f"/apis/{names.GROUP}/{names.VERSION}/{names.PLURAL}": {
                "kind": f"{names.KIND}List", "apiVersion": GROUP["groupVersion"],
                "metadata": {"resourceVersion": "1"}, "items": [],
            },
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [NAMESPACES]},
        }.get(path)  # fmt: skip


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiServer]:
    served = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": f"http://{host}:{port}"}}],
        "users": [{"name": "test", "user": {"token": "test"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    yield served
    await runner.cleanup()


class Operator:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log: list[str] = []

    async def says(self, text: str) -> None:
        async with asyncio.timeout(20):
            while text not in "".join(self.log[-1:]):
                line = await self._process.stderr.readline()
                assert line, f"it ended without saying {text!r}: {self.log}"
                self.log.append(line.decode())

    async def ends(self) -> int:
        async with asyncio.timeout(20):
            while line := await self._process.stderr.readline():
                self.log.append(line.decode())
            return await self._process.wait()

    async def terminate(self, within: float) -> int:
        self._process.terminate()
        async with asyncio.timeout(within):
            return await self._process.wait()


@pytest.fixture
async def operator(api: ApiServer, tmp_path: Path) -> AsyncIterator[Operator]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "SERINUS_LEADER_ELECTION": "false",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "serinus.app", env=environment, stderr=asyncio.subprocess.PIPE
    )
    yield Operator(process)
    if process.returncode is None:
        process.kill()
    _, rest = await process.communicate()
    sys.stdout.write(rest.decode())  # shown when the test has failed


async def test_sigterm_while_it_waits_for_the_crd_ends_it_well_and_soon(operator: Operator) -> None:
    await operator.says("waiting for the CRD")
    assert await operator.terminate(within=4) == 0


async def test_a_crd_that_comes_later_is_watched_and_sigterm_ends_it_well_and_soon(
    api: ApiServer, operator: Operator
) -> None:
    await operator.says("waiting for the CRD")
    api.served = True
    async with asyncio.timeout(20):
        await api.watched.wait()
    assert await operator.terminate(within=4) == 0


async def test_watches_that_fail_are_a_failure_of_the_process(
    api: ApiServer, operator: Operator
) -> None:
    await operator.says("waiting for the CRD")
    api.kind = {"name": names.PLURAL}  # cannot be read by kopf
    api.served = True
    assert await operator.ends() == 1
