"""A whole sandbox, for the commands, the demo and the tests.

async with Sandbox(Settings(name="test", with_mlflow=False)) as sandbox:
    run(["kubectl", "--kubeconfig", sandbox.kubeconfig, "get", "nodes"])
    sandbox.kill("operator"); await sandbox.start("operator")
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from serinus.sandbox import discovery, parts
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient, wait_until_serving
from serinus.sandbox.node.process import kill_leftovers
from serinus.sandbox.objects import condition_is_true
from serinus.sandbox.parts import Layout, Ports, Settings
from serinus.sandbox.program import PartError, alone_in
from serinus.sandbox.resources import GATEWAYS
from serinus.sandbox.services import prometheus
from serinus.sandbox.supervisor import PartDiedError, PartState, Supervisor

Progress = Callable[[str, str, float], None]  # part, what happened, seconds since the start

GATEWAY_SECONDS = 15.0
PATIENCE_SECONDS = 5.0  # between signs of life of a slow part


class AlreadyUpError(Exception):
    """A sandbox of that name runs."""


def _silent(part: str, what: str, seconds: float) -> None:
    del part, what, seconds


class Sandbox:
    """One sandbox. As a context manager it is up inside, and its processes die with ours."""

    def __init__(
        self, settings: Settings | None = None, *, folder: Path | None = None, tie: bool = True
    ) -> None:
        """``folder`` instead of the state folder of the name; ``tie``: die with this process."""
        self.settings = settings or Settings()
        self._layout = Layout(folder) if folder is not None else Layout.of(self.settings.name)
        self._ports: Ports | None = None
        self._supervisor = Supervisor(self._layout, tie=tie)

    @classmethod
    def find(cls, name: str) -> Sandbox | None:
        """The sandbox that `up` left running under that name; None if there is none."""
        layout = Layout.of(name)
        stored = parts.load(layout)
        if stored is None:
            return None
        found = cls(stored[0], tie=False)
        found._ports = stored[1]
        return found

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.down()

    @property
    def state_dir(self) -> Path:
        return self._layout.root

    @property
    def kubeconfig(self) -> Path:
        return self._layout.kubeconfig

    @property
    def gateway_url(self) -> str:
        """Where the Gateway infra/public serves."""
        return f"http://127.0.0.1:{self._known_ports.gateway}"

    @property
    def prometheus_url(self) -> str | None:
        wanted = self.settings.with_prometheus
        return f"http://127.0.0.1:{self._known_ports.prometheus}" if wanted else None

    @property
    def mlflow_url(self) -> str | None:
        wanted = self.settings.with_mlflow
        return f"http://127.0.0.1:{self._known_ports.mlflow}" if wanted else None

    @property
    def operator_url(self) -> str | None:
        """Base URL of the operator's /healthz and /metrics."""
        wanted = self.settings.with_operator
        return f"http://127.0.0.1:{self._known_ports.operator}" if wanted else None

    @property
    def _known_ports(self) -> Ports:
        if self._ports is None:
            raise RuntimeError("the sandbox is not up")
        return self._ports

    def log(self, part: str) -> Path:
        """The part's log file."""
        return self._layout.log(part)

    def states(self) -> list[PartState]:
        """Every part that should run, and whether it does."""
        return [self._supervisor.state(name) for name in self.settings.parts]

    async def wait_for_a_death(self) -> PartState:
        """Wait until a part does not run any more; which one."""
        while True:
            for state in self.states():
                if state.pid is None:
                    return state
            await asyncio.sleep(0.5)

    async def up(self, progress: Progress = _silent) -> None:
        """Start everything and wait until it is ready.

        Raises AlreadyUpError, or PartDiedError with the log's end when a part fails; then nothing
        is left running, and the logs stay. A missing Prometheus program is left out.
        """
        if self.settings.with_prometheus and prometheus.program() is None:
            progress(parts.PROMETHEUS, "not on this machine: the operator scrapes the pods", 0.0)
            self.settings = replace(self.settings, with_prometheus=False)
        self._layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with alone_in(self._layout.root):
                self._clear()
                await self._start_all(progress)
        except PartError as error:
            raise AlreadyUpError(f"sandbox {self.settings.name!r} is being started") from error

    def _clear(self) -> None:
        if any(state.pid is not None for state in self.states()):
            raise AlreadyUpError(f"sandbox {self.settings.name!r} is up already")
        for entry in self._layout.root.iterdir():
            if entry.name != "lock":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for name in ("logs", "run", "mlflow"):
            (self._layout.root / name).mkdir()

    async def _start_all(self, progress: Progress) -> None:
        self._ports = Ports.free()
        parts.save(self._layout, self.settings, self._ports)
        self._make_operator_token()
        began = time.monotonic()
        prepared = asyncio.Event()

        async def patience(name: str) -> None:
            while True:
                await asyncio.sleep(PATIENCE_SECONDS)
                progress(name, "starting", time.monotonic() - began)

        async def bring_up(name: str) -> None:
            if name == parts.OPERATOR:
                await prepared.wait()
            waiting = asyncio.ensure_future(patience(name))
            try:
                await self._start(name)
            finally:
                waiting.cancel()
            if name == parts.APISERVER:
                await self._prepare_cluster()
                self._write_operator_kubeconfig()
                prepared.set()
            progress(name, "ready", time.monotonic() - began)

        try:
            async with asyncio.TaskGroup() as group:
                for name in self.settings.parts:
                    group.create_task(bring_up(name))
            await self._gateway_programmed()
        except BaseException as error:
            await self._end()
            if isinstance(error, BaseExceptionGroup):
                died = error.subgroup(PartDiedError)
                if died is not None:
                    raise died.exceptions[0] from None
            raise

    async def down(self) -> None:
        """End everything and remove the state folder. Fine if nothing runs."""
        await self._end()
        shutil.rmtree(self._layout.root, ignore_errors=True)

    async def _end(self) -> None:
        await self._supervisor.stop(self.settings.parts[::-1])
        pods = self._layout.node / "pods"
        if pods.is_dir():
            kill_leftovers(pods)
        self._supervisor.close()

    async def start(self, part: str) -> None:
        """Start a part that is not running and wait until it is ready. Raises PartDiedError."""
        if part not in self.settings.parts:
            raise ValueError(f"this sandbox has no part {part!r}")
        await self._start(part)

    async def _start(self, name: str) -> None:
        made = parts.make(name, self.settings, self._known_ports, self._layout)
        self._supervisor.spawn(made)
        await self._supervisor.wait_ready(made)

    async def stop(self, part: str) -> None:
        """End a part the polite way, and wait until it is gone."""
        await self._supervisor.stop([part])

    async def kill(self, part: str, number: int = signal.SIGKILL) -> None:
        """Send a part a signal that ends it, and wait until it has. Raises TimeoutError."""
        if not self._supervisor.kill(part, number):
            raise ProcessLookupError(f"{part} does not run")
        await self._supervisor.wait_gone(part)

    async def _prepare_cluster(self) -> None:
        """Make the Gateway that everybody may use, and the operator's rights."""
        text = (resources.files("serinus.sandbox") / "manifests" / "gateway.yaml").read_text()
        wanted = list(yaml.safe_load_all(text))
        for obj in wanted:
            if obj["kind"] == "Gateway":
                obj["spec"]["listeners"][0]["port"] = self._known_ports.gateway
        if self.settings.with_operator:
            rules = parts.shipped("manifests/rbac.yaml", "rbac.yaml")
            wanted += yaml.safe_load_all(rules.read_text())
        async with KubeClient.from_kubeconfig(self.kubeconfig) as client:
            await wait_until_serving(client, seconds=10)
            served = {(r.api_version, r.kind): r for r in await discovery.collections(client)}
            for obj in wanted:
                resource = served[obj["apiVersion"], obj["kind"]]
                await client.apply(resource, obj, "serinus-sandbox")

    def _make_operator_token(self) -> None:
        token = secrets.token_urlsafe(24)
        self._layout.tokens.touch(mode=0o600)
        self._layout.tokens.write_text(json.dumps({token: {"user": parts.OPERATOR_USER}}))

    def _write_operator_kubeconfig(self) -> None:
        """The admin's with the operator's token in it."""
        (token,) = json.loads(self._layout.tokens.read_text())
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path = self._layout.operator_kubeconfig
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))

    async def _gateway_programmed(self) -> None:
        namespace, name = parts.GATEWAY.split("/")
        try:
            async with (
                asyncio.timeout(GATEWAY_SECONDS),
                KubeClient.from_kubeconfig(self.kubeconfig) as client,
            ):
                while True:
                    with contextlib.suppress(ApiError, ApiUnreachableError):
                        gateway = await client.get(GATEWAYS, name, namespace)
                        if condition_is_true(gateway, "Programmed"):
                            return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            log = self.log(parts.GATEWAY_PART)
            text = f"the Gateway {parts.GATEWAY} was not programmed in {GATEWAY_SECONDS:g} s"
            raise PartDiedError(f"{text}; see {log}") from None
