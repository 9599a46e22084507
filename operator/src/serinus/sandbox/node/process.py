"""One run of a container: a process group with a log, a memory limit and last words."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serinus.sandbox.node.spec import Launch
from serinus.sandbox.processes import ProcessId, end_recorded, kill_group, private_memory, tied

MEMORY_PERIOD = 0.25  # seconds between looks at a container's memory
LAST_WORDS = 4096  # bytes of a termination message
RECORD = "process"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended."""

    code: int
    reason: str
    message: str


class ContainerProcess:
    """A running container."""

    def __init__(self, launch: Launch, process: Process, folder: Path, log: Path) -> None:
        self._launch = launch
        self._process = process
        self._folder = folder
        self._log = log
        self._out_of_memory = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, launch: Launch, folder: Path, run: int) -> ContainerProcess:
        """Start the program; its output goes to ``folder/RUN.log``. Raises OSError."""
        log = folder / f"{run}.log"
        with _prepared(launch, folder, log) as output:
            process = await asyncio.create_subprocess_exec(
                *tied(launch.command),
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                env=dict(launch.env),
                cwd=launch.cwd,
                start_new_session=True,
            )
        known = ProcessId.of(process.pid)
        (folder / RECORD).write_text(str(known) if known else "")
        return cls(launch, process, folder, log)

    @property
    def log(self) -> Path:
        return self._log

    async def wait(self, *, last_log_lines: bool) -> Exit:
        """Wait for the end and clean up after it. Cancelled: the container is killed."""
        watch = asyncio.ensure_future(self._watch_memory())
        try:
            status = await self._process.wait()
        finally:
            watch.cancel()
            kill_group(self.pid)
            (self._folder / RECORD).unlink(missing_ok=True)
        code = status if status >= 0 else 128 - status
        reason = "Completed" if code == 0 else "Error"
        if self._out_of_memory:
            reason = "OOMKilled"
        return Exit(code, reason, self._last_words(code, last_log_lines))

    def kill(self) -> None:
        kill_group(self.pid)

    async def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL for what is still there after ``grace`` seconds."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            self.kill()

    async def execute(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a command as if in the container; its exit status and the end of its output."""
        process = await asyncio.create_subprocess_exec(
            *tied(command),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=dict(self._launch.env),
            cwd=self._launch.cwd,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            kill_group(process.pid)
        return process.returncode or 0, output[-1000:].decode(errors="replace")

    async def _watch_memory(self) -> None:
        limit = self._launch.memory_limit
        while limit is not None:
            if private_memory(self.pid) > limit:
                self._out_of_memory = True
                self.kill()
                return
            await asyncio.sleep(MEMORY_PERIOD)

    def _last_words(self, code: int, last_log_lines: bool) -> str:
        file = self._folder / "termination-log"
        with contextlib.suppress(OSError):
            if text := file.read_bytes()[:LAST_WORDS].decode(errors="replace").strip():
                return text
        if code != 0 and last_log_lines:
            with contextlib.suppress(OSError), self._log.open("rb") as log:
                log.seek(max(self._log.stat().st_size - 2048, 0))
                return log.read().decode(errors="replace").strip()
        return ""


def _prepared(launch: Launch, folder: Path, log: Path) -> BinaryIO:
    """Make the container's folders, forget earlier last words, and open its log."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("home", "tmp"):
        (launch.cwd / name).mkdir(exist_ok=True)
    (folder / "termination-log").unlink(missing_ok=True)
    return log.open("ab")


def kill_leftovers(folder: Path) -> int:
    """Kill containers that an earlier node left behind in ``folder``; how many there were."""
    return sum(end_recorded(record) for record in folder.glob(f"*/*/{RECORD}"))
