"""Starts, watches and ends the programs of one sandbox. It restarts nothing by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from serinus.sandbox.parts import Layout, Part
from serinus.sandbox.processes import ProcessId, end_recorded, tied

POLL_SECONDS = 0.05
TERM_SECONDS = 6.0


class PartDiedError(Exception):
    """A part ended or did not become ready; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class PartState:
    """One part now. ``pid`` is None when it does not run."""

    name: str
    pid: int | None
    log: Path


class Supervisor:
    """The processes of one sandbox.

    ``tie``: they die with this process. Otherwise they go on after it, and another Supervisor of
    the same layout finds them by their pid files.
    """

    def __init__(self, layout: Layout, *, tie: bool) -> None:
        self._layout = layout
        self._tie = tie
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """Let the guard go."""
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None

    def _start_guard(self) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "serinus.sandbox.guard", str(self._layout.root)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def find(self, name: str) -> ProcessId | None:
        """The part's process, if it lives."""
        try:
            found = ProcessId.parse(self._layout.pid(name).read_text())
        except FileNotFoundError:
            return None
        return found if found is not None and found.is_alive() else None

    def state(self, name: str) -> PartState:
        found = self.find(name)
        return PartState(name, found.pid if found else None, self._layout.log(name))

    def spawn(self, part: Part) -> None:
        """Start a part; not if it runs already."""
        if self.find(part.name) is not None:
            return
        for stale in (part.ready_file, self._layout.pid(part.name)):
            if stale is not None:
                stale.unlink(missing_ok=True)
        command = list(part.command)
        if self._tie:
            command = tied(command)
            self._start_guard()
        with self._layout.log(part.name).open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment() | dict(part.env),
                cwd=self._layout.root,
                start_new_session=True,
            )
        self._reap(part.name)
        self._children[part.name] = child
        known = ProcessId.of(child.pid)
        self._layout.pid(part.name).write_text(str(known) if known else "")

    async def wait_ready(self, part: Part) -> None:
        """Wait until the part is ready. Raises PartDiedError."""
        try:
            async with asyncio.timeout(part.seconds), aiohttp.ClientSession() as session:
                while not await _is_ready(part, session):
                    if self.find(part.name) is None:
                        raise PartDiedError(self._obituary(part.name, "ended while starting"))
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            text = f"was not ready after {part.seconds:g} s"
            raise PartDiedError(self._obituary(part.name, text)) from None
        if self.find(part.name) is None:
            raise PartDiedError(self._obituary(part.name, "ended while starting"))

    def kill(self, name: str, number: int = signal.SIGKILL) -> bool:
        """Send a signal to a part's process. False: it does not run."""
        found = self.find(name)
        return found is not None and found.signal(number)

    async def stop(self, names: Sequence[str]) -> None:
        """End parts: SIGTERM to all, SIGKILL to what is left, and to what they left behind."""
        found = {name: process for name in names if (process := self.find(name)) is not None}
        for process in found.values():
            process.signal(signal.SIGTERM)
        await _until(lambda: not any(p.is_alive() for p in found.values()), TERM_SECONDS)
        for name in names:
            end_recorded(self._layout.pid(name))
        await _until(lambda: not any(p.is_alive() for p in found.values()), TERM_SECONDS)
        for name in found:
            self._reap(name)

    async def wait_gone(self, name: str) -> None:
        """Wait for a part's end after a signal. Raises TimeoutError."""
        if not await _until(lambda: self.find(name) is None, TERM_SECONDS):
            raise TimeoutError(f"{name} still runs")
        end_recorded(self._layout.pid(name))  # its children
        self._reap(name)

    def _reap(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            child.wait()

    def _obituary(self, name: str, what: str) -> str:
        log = self._layout.log(name)
        return f"{name} {what}. The end of {log}:\n{tail(log, 15)}"


async def _is_ready(part: Part, session: aiohttp.ClientSession) -> bool:
    if part.ready_file is not None and not part.ready_file.exists():
        return False
    if part.ready_url is None:
        return True
    try:
        timeout = aiohttp.ClientTimeout(total=2)
        async with session.get(part.ready_url, timeout=timeout) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.02)
    return True


def _environment() -> dict[str, str]:
    """Ours, without what would configure a part by accident or send loopback to a proxy."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SERINUS_", "MLFLOW_")) and key != "KUBECONFIG"
    }
    near = "127.0.0.1,localhost,127.0.0.0/8"
    return kept | {"NO_PROXY": near, "no_proxy": near, "PYTHONUNBUFFERED": "1"}


def tail(path: Path, lines: int) -> str:
    """The last lines of a file; empty if there is none."""
    try:
        with path.open(errors="replace") as file:
            return "".join(deque(file, maxlen=lines)).rstrip()
    except FileNotFoundError:
        return ""
