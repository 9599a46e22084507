"""The demo as a stranger runs it: it proves the main job, ends by itself and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("demo")]

INTERRUPTED = 130
END_SECONDS = 20  # Ctrl-C takes less than ten; the rest is for a busy machine


@contextmanager
def demo(tmp_path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo in a state folder of its own, into a pipe."""
    state, temporary = tmp_path / "state", tmp_path / "tmp"
    state.mkdir()
    temporary.mkdir()
    env = os.environ | {"XDG_STATE_HOME": str(state), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "serinus.sandbox", "demo", *options]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=END_SECONDS)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail(f"the demo ended without saying {text!r}:\n{''.join(lines)}")


def leftovers(tmp_path: Path) -> list[str]:
    """Files, and processes whose command line or environment names the test's folder."""
    mark = str(tmp_path).encode()
    found = [str(path) for path in tmp_path.rglob("*") if path.is_file()]
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            command = (folder / "cmdline").read_bytes()
            if mark in command or mark in (folder / "environ").read_bytes():
                found.append(f"process {folder.name}: {command.decode(errors='replace')}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


@pytest.mark.timeout(480)
def test_the_demo_promotes_version_2_takes_version_3_back_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    with demo(tmp_path) as process:
        output, _ = process.communicate(timeout=460)
    assert process.returncode == 0, output
    assert "Version 2 was promoted and version 3 was rolled back" in output
    assert "0 refused, 0 answered wrongly" in output, output
    assert re.search(r"[0-9.]+ s from the first breached slot to weight 0", output)
    assert "\x1b" not in output, "no control characters in a pipe"
    assert leftovers(tmp_path) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("apiserver", signal.SIGINT),
        ("version 1 of models:/tumor/1 starts", signal.SIGTERM),
    ],
    ids=["Ctrl-C while parts start", "SIGTERM in the middle of the story"],
)
def test_a_signal_stops_everything_and_leaves_nothing(
    tmp_path: Path, said: str, number: signal.Signals
) -> None:
    with demo(tmp_path) as process:
        read_until(process, said)
        process.send_signal(number)
        output, _ = process.communicate(timeout=END_SECONDS)
    assert process.returncode == INTERRUPTED, output
    assert "nothing is left running" in output
    assert leftovers(tmp_path) == []
