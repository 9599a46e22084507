"""The load generator counts what is wrong: zero errors mean something."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from bench.load.job import Exchange, Job, Outcome
from bench.load.run import run

ECHO = "200 OK"


@contextlib.asynccontextmanager
async def _echo(
    status: str = ECHO, answers: int = 1_000_000, delay: float = 0.0
) -> AsyncIterator[int]:
    """A server that answers a body with itself, and hangs up after so many ``answers``.

    ``delay`` are the seconds that every answer takes.
    """
    left = answers
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        handlers.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while left > 0:
                left -= 1
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(head.rpartition(b":")[2]))
                await asyncio.sleep(delay)
                reply = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(reply.encode() + body)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*(handler for handler in handlers if handler is not None))


async def _load(port: int, *exchanges: Exchange, concurrency: int = 3) -> Outcome:
    return await run(Job(port, "/", exchanges, concurrency, seconds=0.1, warmup=0.02))


async def test_right_answers_are_timed_and_no_errors() -> None:
    async with _echo() as port:
        outcome = await _load(port, Exchange(b"a", b"a"), Exchange(b"bb", b"bb"))
    assert outcome.errors == 0
    assert 0 < outcome.timed <= outcome.total
    assert 0 < outcome.p50_ms <= outcome.p99_ms


async def test_an_answer_counts_when_it_comes_though_it_was_asked_for_during_the_warm_up() -> None:
    async with _echo(answers=1, delay=0.2) as port:
        job = Job(port, "/", [Exchange(b"a", b"a")], 1, seconds=10, warmup=0.05)
        outcome = await run(job)
    assert outcome.timed == 1
    assert outcome.p50_ms >= 190


async def test_an_answer_to_another_request_is_an_error() -> None:
    async with _echo() as port:
        outcome = await _load(port, Exchange(b"a", b"a"), Exchange(b"b", b"a"), concurrency=1)
    assert outcome.total // 2 <= outcome.errors < outcome.total
    assert outcome.first_error == "wrong answer: b"


async def test_a_refusal_is_an_error_and_never_timed() -> None:
    async with _echo("503 Service Unavailable") as port:
        outcome = await _load(port, Exchange(b"a", b"a"))
    assert outcome.errors == outcome.total > 0
    assert outcome.timed == 0
    assert outcome.first_error == "503: a"


async def test_a_lost_connection_is_an_error() -> None:
    async with _echo(answers=5) as port:
        outcome = await _load(port, Exchange(b"a", b"a"))
    assert outcome.errors == 3
    assert outcome.first_error.startswith("connection lost")


async def test_nobody_listening_is_told_as_such() -> None:
    async with _echo() as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await _load(port, Exchange(b"a", b"a"))


async def test_an_open_loop_sends_what_is_due_and_not_more() -> None:
    async with _echo() as port:
        job = Job(port, "/", [Exchange(b"a", b"a")], 4, seconds=0.2, warmup=0.05, rate=400)
        outcome = await run(job)
    assert outcome.total == 100
    assert outcome.timed == 80
    assert outcome.errors == 0


async def test_in_an_open_loop_a_latency_begins_when_the_request_was_due() -> None:
    async with _echo(delay=0.05) as port:
        # 20 a second can be answered, 100 are due: the last one waits for about 0.8 s.
        job = Job(port, "/", [Exchange(b"a", b"a")], 1, seconds=0.2, warmup=0, rate=100)
        outcome = await run(job)
    assert outcome.timed == 20
    assert outcome.p99_ms > 600


async def test_an_open_loop_ends_when_no_connection_is_left() -> None:
    async with _echo(answers=2) as port:
        job = Job(port, "/", [Exchange(b"a", b"a")], 2, seconds=5, warmup=0, rate=100)
        outcome = await run(job)
    assert outcome.errors == 2
    assert outcome.elapsed < 4


def test_a_job_is_the_same_after_its_way_as_text() -> None:
    job = Job(1, "/", [Exchange(b"\x00\xff", b"{}")], 2, seconds=0.5, warmup=0.1, rate=3.5)
    assert Job.loads(job.dumps()) == job


async def test_an_answer_in_pieces_and_one_of_the_same_length_are_compared_byte_by_byte() -> None:
    answers = [b"right", b"wrong"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for turn in range(4):
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(1)
                reply = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" + answers[turn == 3]
                if turn == 1:
                    writer.write(reply[:-2])
                    await asyncio.sleep(0.01)
                    reply = reply[-2:]
                writer.write(reply)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await run(Job(port, "/", [Exchange(b"a", b"right")], 1, seconds=5, warmup=0))
    # The fourth answer is wrong, and the server hangs up after it.
    assert outcome.total == 4
    assert outcome.errors == 2
    assert outcome.first_error == "wrong answer: wrong"
