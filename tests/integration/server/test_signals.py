"""SIGTERM and SIGINT at any moment: exit code 0, soon, with nothing left behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.otlp import Collector

from serinus_server import contract

QUICK = {"inputs": [[0.0, 3.0]]}
MOMENTS = 20
AT_ONCE = 4
# The promise is 2 s on a processor of its own; here several servers start on two, with other tests.
SOON = 6.0


def until_signals_are_handled(server: Any) -> None:
    """From here on the process handles SIGTERM; before, it is Python's own start."""
    status = Path(f"/proc/{server.process.pid}/status")
    deadline = time.monotonic() + 30
    while True:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        assert server.process.poll() is None, server.log
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_sigterm_at_any_moment_of_the_start_ends_the_process_soon_and_cleanly(
    start: Any, tmp_path: Path
) -> None:
    timed = start(TMPDIR=str(tmp_path))
    until_signals_are_handled(timed)
    begin = time.monotonic()
    timed.until_ready()
    whole = time.monotonic() - begin
    timed.process.kill()

    def end_at(number: int) -> tuple[int, float, list[str], list[Path]]:
        folder = tmp_path / f"tmp-{number}"
        folder.mkdir()
        server = start(TMPDIR=str(folder), SERINUS_DRAIN_SECONDS="0")
        until_signals_are_handled(server)
        time.sleep(whole * number / MOMENTS)  # the moment is the case
        begin = time.monotonic()
        server.terminate()
        code = server.wait()
        return code, time.monotonic() - begin, server.log, list(folder.iterdir())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(end_at, range(MOMENTS)))
    for code, seconds, log, left in found:
        assert code == 0, log
        assert seconds < SOON, log
        assert left == []
        assert not any("Traceback" in line or "rror" in line for line in log), log
    # They were in different states.
    assert len({tuple(sorted(state for line in log for state in STATES if state in line))
                for _, _, log, _ in found}) >= 3  # fmt: skip


STATES = ('"new": "loading"', '"new": "warming"', '"new": "ready"', '"listening"')


def test_a_second_sigterm_changes_nothing_and_a_second_sigint_ends_the_drain(start: Any) -> None:
    server = start(SERINUS_DRAIN_SECONDS="60")
    server.until_ready()
    server.terminate()
    while server.status(contract.PATH_READY) != 503:
        time.sleep(0.01)
    for _ in range(3):
        server.terminate()
    assert httpx2.post(f"{server.url}/invocations", json=QUICK).status_code == 200
    begin = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.wait() == 0
    assert time.monotonic() - begin < SOON
    assert not any("Traceback" in line for line in server.log), server.log


def test_ctrl_c_drains_and_ctrl_c_again_ends_it_at_once(start: Any) -> None:
    server = start(SERINUS_DRAIN_SECONDS="60")
    server.until_ready()
    server.process.send_signal(signal.SIGINT)
    while server.status(contract.PATH_READY) != 503:
        time.sleep(0.01)
    assert httpx2.post(f"{server.url}/invocations", json=QUICK).status_code == 200
    begin = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.wait() == 0
    assert time.monotonic() - begin < SOON
    assert not any("Traceback" in line for line in server.log), server.log


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_the_last_traces_are_sent_before_the_end(start: Any, collector: Collector) -> None:
    server = start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, SERINUS_DRAIN_SECONDS="0")
    server.until_ready()
    assert httpx2.post(f"{server.url}/invocations", json=QUICK).status_code == 200
    server.terminate()
    assert server.wait() == 0
    assert {span.name for span in collector.spans()} == {"POST /invocations", "predict"}


def test_a_collector_that_hangs_holds_up_neither_requests_nor_the_end(
    start: Any, collector: Collector
) -> None:
    collector.answer.clear()
    server = start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, SERINUS_DRAIN_SECONDS="0")
    server.until_ready()
    with httpx2.Client(base_url=server.url) as client:
        for _ in range(50):
            assert client.post("/invocations", json=QUICK).status_code == 200
    begin = time.monotonic()
    server.terminate()
    assert server.wait() == 0
    assert time.monotonic() - begin < 2 + SOON
