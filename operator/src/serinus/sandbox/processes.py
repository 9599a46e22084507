"""Processes as the sandbox needs them: tied to their parent, and never mistaken for another.

A process is remembered by its id *and* its start time, because ids are used again.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serinus.sandbox import launch

PAGE = os.sysconf("SC_PAGESIZE")


def tied(command: Sequence[str]) -> list[str]:
    """The command, made to be killed when this process ends, however it ends."""
    return [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command]


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for all time: its id and when it started (clock ticks since boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this id now; None if there is none, or only its remains."""
        fields = _stat(pid)
        return None if fields is None else cls(pid, int(fields[19]))

    @classmethod
    def parse(cls, text: str) -> ProcessId | None:
        """What ``str`` of a ProcessId gave; None for anything else."""
        parts = text.split()
        if len(parts) != 2 or not all(part.isdigit() for part in parts):
            return None
        return cls(int(parts[0]), int(parts[1]))

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    def is_alive(self) -> bool:
        return ProcessId.of(self.pid) == self

    def signal(self, number: int, *, group: bool = False) -> bool:
        """Send a signal to the process, or to the group that it leads. False: it is gone."""
        if not self.is_alive():
            return False
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
            return True
        return False


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None for no process or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields


def kill_group(leader: int) -> None:
    """SIGKILL to a process group; fine if nobody is left in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_recorded(record: Path) -> bool:
    """SIGKILL to the group whose leader a file names, and the file goes. False: nobody was there.

    A leader that is dead may have left its group behind; a leader with another start time is
    somebody else.
    """
    try:
        known = ProcessId.parse(record.read_text())
    except FileNotFoundError:
        return False
    record.unlink(missing_ok=True)
    if known is None or ProcessId.of(known.pid) not in (known, None):
        return False
    was_there = known.is_alive()
    kill_group(known.pid)
    return was_there


def private_memory(pid: int) -> int:
    """Bytes of memory of a process and its descendants that they share with no file."""
    total = 0
    todo = [pid]
    while todo:
        current = todo.pop()
        base = Path(f"/proc/{current}")
        try:
            _, resident, shared = (base / "statm").read_text().split()[:3]
            total += (int(resident) - int(shared)) * PAGE
            for task in (base / "task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, outside of the range from which clients' ports are taken."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise OSError(f"no free port on {host}: 100 were tried")
