"""The load generator counts what is wrong: zero errors mean something."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from bench.load import Exchange, Job, Outcome, run

ECHO = "200 OK"


@contextlib.asynccontextmanager
async def _echo(
    status: str = ECHO, answers: int = 1_000_000, delay: float = 0.0
) -> AsyncIterator[int]:
    """A server that answers a body with itself, and hangs up after so many ``answers``.

    ``delay`` are the seconds that every answer takes.
    """
    left = answers

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while left > 0:
                left -= 1
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(head.rpartition(b":")[2]))
                await asyncio.sleep(delay)
                reply = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(reply.encode() + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _load(port: int, *exchanges: Exchange, concurrency: int = 3) -> Outcome:
    return await run(Job(port, "/", exchanges, concurrency, seconds=0.1, warmup=0.02))


async def test_right_answers_are_timed_and_no_errors() -> None:
    async with _echo() as port:
        outcome = await _load(port, Exchange("a", "a"), Exchange("bb", "bb"))
    assert outcome.errors == 0
    assert 0 < outcome.timed <= outcome.total
    assert 0 < outcome.p50_ms <= outcome.p99_ms


async def test_an_answer_counts_when_it_comes_though_it_was_asked_for_during_the_warm_up() -> None:
    async with _echo(answers=1, delay=0.2) as port:
        job = Job(port, "/", [Exchange("a", "a")], 1, seconds=10, warmup=0.05)
        outcome = await run(job)
    assert outcome.timed == 1
    assert outcome.p50_ms >= 190


async def test_an_answer_to_another_request_is_an_error() -> None:
    async with _echo() as port:
        outcome = await _load(port, Exchange("a", "a"), Exchange("b", "a"), concurrency=1)
    assert outcome.total // 2 <= outcome.errors < outcome.total
    assert outcome.first_error == "wrong answer: b"


async def test_a_refusal_is_an_error_and_never_timed() -> None:
    async with _echo("503 Service Unavailable") as port:
        outcome = await _load(port, Exchange("a", "a"))
    assert outcome.errors == outcome.total > 0
    assert outcome.timed == 0
    assert outcome.first_error == "503: a"


async def test_a_lost_connection_is_an_error() -> None:
    async with _echo(answers=5) as port:
        outcome = await _load(port, Exchange("a", "a"))
    assert outcome.errors == 3
    assert outcome.first_error.startswith("connection lost")


async def test_nobody_listening_is_told_as_such() -> None:
    async with _echo() as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await _load(port, Exchange("a", "a"))
