"""Installs the peers, each set of packages into an environment of its own, and keeps them.

An environment belongs to its list of packages and to the Python that made it: when either
changes, it gets another folder. The old ones may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "peers" / "requirements"
_ROOT = Path(__file__).parents[1]
OWN = "serinus"
_EXTRAS = ("server", "sklearn")
_COMPLETE = "complete"  # a file that is there when everything else is
_TELL_SECONDS = 10.0
_INSTALL_SECONDS = 1200.0
_TAIL_LINES = 15


class InstallError(RuntimeError):
    """The environment cannot be made; the message says why."""


def default_folder() -> Path:
    """Where environments are kept unless said otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache"
    return Path(cache) / "serinus-bench"


def packages(name: str, lists: Path = REQUIREMENTS) -> str:
    """The pinned packages of the environment ``name``, one per line.

    Ours are those that the model server needs for scikit-learn, at the versions that are tested
    together; the peers' are in ``lists``.
    """
    if name != OWN:
        return (lists / f"{name}.txt").read_text(encoding="utf-8")
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    # In place, so that it is the code that stands here now. The comment is for the folder's name.
    return (
        f"-e {_ROOT}[{','.join(_EXTRAS)}]\n-c {_ROOT / 'constraints.txt'}\n"
        f"# {' '.join(package for extra in _EXTRAS for package in extras[extra])}\n"
    )


def prepare(
    name: str, folder: Path, say: Callable[[str], None], lists: Path = REQUIREMENTS
) -> Path:
    """The programs of the environment ``name``, which is installed below ``folder`` if missing.

    Raises:
        InstallError: it cannot be made, for example because no package index is reachable.
    """
    wanted = packages(name, lists)
    pins = (_ROOT / "constraints.txt").read_text(encoding="utf-8") if name == OWN else ""
    mark = hashlib.sha256(f"{platform.python_version()}{wanted}{pins}".encode())
    home = folder / f"{name}-{mark.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if not (home / _COMPLETE).exists():
            shutil.rmtree(home, ignore_errors=True)
            try:
                _install(name, wanted, home, say)
            except BaseException:
                shutil.rmtree(home, ignore_errors=True)
                raise
    return home / "bin"


def _install(name: str, wanted: str, home: Path, say: Callable[[str], None]) -> None:
    say(f"{name}: installing into {home}")
    _run(name, [sys.executable, "-m", "venv", str(home)], say)
    requirements = home / "requirements.txt"
    requirements.write_text(f"{wanted}\n", encoding="utf-8")
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    _run(name, [*pip, "--progress-bar", "off", "-r", str(requirements)], say)
    (home / _COMPLETE).touch()


def _run(name: str, command: list[str], say: Callable[[str], None]) -> None:
    """Run to the end, telling how long it takes; what it prints is only for errors."""
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            tail = _follow(name, process, say)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        if process.wait() != 0:
            raise InstallError(f"{Path(command[0]).name} failed:\n" + "\n".join(tail))


def _follow(name: str, process: subprocess.Popen[str], say: Callable[[str], None]) -> list[str]:
    """Read what it prints until it ends; the last lines."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    begin = time.monotonic()
    tell = begin + _TELL_SECONDS
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    collected = 0
    for line in process.stdout:
        tail.append(line.rstrip())
        collected += line.startswith("Collecting ")
        now = time.monotonic()
        if now - begin > _INSTALL_SECONDS:
            raise InstallError(f"not installed within {_INSTALL_SECONDS:.0f} s")
        if now > tell:
            say(f"{name}: {now - begin:.0f} s, {collected} packages found")
            tell = now + _TELL_SECONDS
    return list(tail)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two runs at once must not install into the same folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
