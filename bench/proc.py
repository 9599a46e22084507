"""What Linux says about processes and processors."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores are for the server and for the load; the same one if there is no other."""

    server: int
    load: int

    @property
    def separate(self) -> bool:
        return self.server != self.load


def choose_cores() -> Cores:
    """The first and the last core that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[-1])


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Within the block, this thread and every process that it starts stay on ``core``."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """CPU time that the process and its living descendants have used, in steps of 10 ms."""
    ticks = 0
    for member in _tree(pid):
        with contextlib.suppress(OSError):  # it has just ended
            fields = _stat(member)
            ticks += int(fields[11]) + int(fields[12])  # utime, stime
    return ticks / _TICKS


def resident_mib(pid: int) -> float:
    """Resident memory of the process and its descendants; what they share counts for each."""
    pages = 0
    for member in _tree(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{member}/statm").read_text().split()[1])
    return pages * _PAGE / 2**20


def proportional_mib(pid: int) -> float:
    """The same, but what several processes share is divided among them (PSS)."""
    kib = 0
    for member in _tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
    return kib / 1024


def members(pid: int) -> set[int]:
    """The living processes of the session that ``pid`` leads, and its descendants elsewhere."""
    found = set(_tree(pid)) if Path(f"/proc/{pid}").exists() else set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int(_stat(int(entry.name))[3]) == pid:
                    found.add(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third one on (state, parent, group, session, ...)."""
    # The second one, the name in parentheses, may hold spaces.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def processor() -> str:
    """The processor's name, as far as the kernel knows it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
