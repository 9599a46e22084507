"""Log lines are in one form, and wait for no reader."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from serinus_server.telemetry.logs import Logs
from serinus_server.telemetry.observer import Observer
from serinus_server.telemetry.outlet import Outlet
from serinus_server.telemetry.seen import ModelCall, Seen, clean_request_id, trace_id

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)
    os.close(reader)


def read(reader: int) -> list[str]:
    return os.read(reader, 1 << 20).decode().splitlines()


def told(count: int) -> str:
    return f"dropped {count}"


def test_lines_are_written_in_their_order(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], told)
    for number in range(1000):
        outlet.put(f"{number}\u00e9\ud800")
    assert outlet.flush(10)
    assert read(pipe[0]) == [f"{number}\u00e9\\ud800" for number in range(1000)]


def test_lines_for_which_there_is_no_room_are_dropped_and_counted(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], told, most_lines=10)
    line = "x" * 70_000  # more than the pipe takes: the writer is stuck with the first
    outlet.put(line)
    for _ in range(100):
        outlet.put("y")
    assert not outlet.flush(0.05)
    found = bytearray()
    while not found.endswith(b"\n") or b"dropped" not in found:
        found += os.read(pipe[0], 1 << 16)
    written = found.decode().splitlines()
    (count,) = [int(text.removeprefix("dropped ")) for text in written if "dropped" in text]
    assert written.count("y") + count == 100
    assert count >= 89


def test_a_reader_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer, told)
    os.close(reader)
    outlet.put("lost")
    assert outlet.flush(10)
    os.close(writer)


def test_what_shares_the_pipe_may_have_made_it_non_blocking(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    outlet = Outlet(pipe[1], told)
    outlet.put("x" * 200_000)
    found = b""
    while not found.endswith(b"\n"):
        found += os.read(pipe[0], 1 << 16)
    assert len(found) == 200_001


def seen(code: int = 200, **others: object) -> Seen:
    return Seen("v2", code, code >= 500, 0.0, 0.25, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(("sample", "least", "most"), [(0, 0, 0), (0.3, 500, 700), (1, 2000, 2000)])
def test_the_sample_is_the_share_of_requests_with_a_line(
    pipe: tuple[int, int], sample: float, least: int, most: int
) -> None:
    lines: list[str] = []
    logs = Logs(pipe[1], lambda *args: lines.append("") or "")
    observer = Observer(sample, logs)
    for _ in range(2000):
        if observer.chooses():
            observer.ended(seen())
    observer.close(10)
    assert least <= len(lines) <= most


def test_failures_are_always_told_but_not_without_end(pipe: tuple[int, int]) -> None:
    logs = Logs(pipe[1], lambda _logger, _name, entry: json.dumps(entry))
    observer = Observer(0, logs)
    for _ in range(500):
        observer.ended(seen(503, error="Overloaded"))
    observer.close(10)
    assert logs.outlet.flush(10)
    entries = [json.loads(line) for line in read(pipe[0])]
    assert {entry["status"] for entry in entries} == {503}
    assert 10 <= len(entries) <= 20  # the clock's second may have passed between


def test_a_line_has_what_is_known_and_nothing_else(pipe: tuple[int, int]) -> None:
    logs = Logs(pipe[1], lambda _logger, _name, entry: json.dumps(entry))
    observer = Observer(1, logs)
    headers = [
        (b"authorization", b"Bearer x"),
        (b"traceparent", f"00-{TRACE}-{'1' * 16}-00".encode()),
    ]
    observer.ended(seen(rows=3, call=ModelCall(0.0, 0.1, 7, 2), request_id="r", headers=headers))
    observer.close(10)
    assert logs.outlet.flush(10)
    (entry,) = [json.loads(line) for line in read(pipe[0])]
    del entry["timestamp"]
    assert entry == {
        "event": "request", "level": "info", "logger": "access", "protocol": "v2", "status": 200,
        "seconds": 0.25, "rows": 3, "batch_rows": 7, "batch_requests": 2, "request_id": "r",
        "trace_id": TRACE,
    }  # fmt: skip


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"x" * 129, b"a\x1b[31m", b"\xc3\xa9", b"a\r\nb: c"]
)
def test_ids_with_anything_odd_in_them_are_not_repeated(value: bytes) -> None:
    assert clean_request_id(value) == b""


def test_ids_as_they_are_usual_are_repeated() -> None:
    for value in (b"7f3c-22", b"x" * 128, b"Root=1-67891233-abcdef012345678912345678", b'"'):
        assert clean_request_id(value) == value


@pytest.mark.parametrize("value", [b"", b"00-x", b"00-" + b"0" * 31 + b"-" + b"1" * 16 + b"-01"])
def test_a_traceparent_that_is_none_is_passed_over(value: bytes) -> None:
    assert trace_id([(b"traceparent", value)]) == ""
