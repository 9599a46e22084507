"""The real operator as a process of its own: started, killed, asked for its metrics."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_STOP_SECONDS = 20


class OperatorProcess:
    """``python -m serinus.app`` with these settings (``SERINUS_...`` and ``KUBECONFIG``)."""

    def __init__(self, kubeconfig: Path, log: Path, settings: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SERINUS_")}
        self._environment = {
            **inherited,
            "KUBECONFIG": str(kubeconfig),
            "SERINUS_PROBE_HOST": "127.0.0.1",
            "SERINUS_PROBE_PORT": str(self._port),
            "SERINUS_DEFAULT_GATEWAY": "infra/public",
            "SERINUS_ALLOW_FILE_URIS": "true",
            "SERINUS_LOG_FORMAT": "json",
            **settings,
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self.deaths = 0  # that nobody asked for

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the operator was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._wanted = True
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serinus.app"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL: nothing that the process might still want to do is done."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it stands still, with all that it was about to do, until :meth:`thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def leads(self) -> bool | None:
        """Whether it leads; None while it does not answer."""
        found = (await self.metrics()).get("serinus_operator_leader")
        return None if found is None else found == 1

    def stop(self) -> int:
        """SIGTERM. Returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            raise RuntimeError("the operator was never started")
        self._wanted = False
        self._process.send_signal(how)
        return self._process.wait(timeout=_STOP_SECONDS)

    async def keep(self) -> None:
        """Starts it again whenever it ends by itself, as a kubelet does; for ever."""
        while True:
            if self._wanted and not self.running:
                self.deaths += 1
                self.start()
            await asyncio.sleep(0.1)

    async def metrics(self) -> dict[str, float]:
        """Its metrics without labels, by sample name; empty while it does not answer."""
        return {name: value for name, labels, value in await self.samples() if not labels}

    async def samples(self) -> list[tuple[str, dict[str, str], float]]:
        """Name, labels and value of every sample; empty while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self._port}/metrics") as answer,
            ):
                text = await answer.text()
        except aiohttp.ClientError:
            return []
        return [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
