"""The load generator's own HTTP/2 against gRPC's own server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import grpc.aio
from bench.load.job import Exchange, Job, Outcome
from bench.load.run import run

PATH = "/some.Service/Echo"


@contextlib.asynccontextmanager
async def _echo(fails: bool = False) -> AsyncIterator[int]:
    async def answer(message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if fails:
            await context.abort(grpc.StatusCode.INTERNAL, "no")
        return message

    handler = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("some.Service", {"Echo": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def _load(port: int, *exchanges: Exchange, concurrency: int = 20) -> Outcome:
    return await run(Job(port, PATH, exchanges, concurrency, seconds=0.2, warmup=0.02, grpc=True))


async def test_right_answers_are_timed_and_no_errors() -> None:
    async with _echo() as port:
        outcome = await _load(port, Exchange(b"a", b"a"), Exchange(b"bb", b"bb"))
    assert (outcome.errors, outcome.first_error) == (0, "")
    assert 20 < outcome.timed <= outcome.total


async def test_more_is_sent_than_the_server_takes_at_once() -> None:
    # 20 messages of 10,000 bytes are more than the 65,535 that HTTP/2 allows at first.
    message = bytes(10_000)
    async with _echo() as port:
        outcome = await _load(port, Exchange(message, message))
    assert (outcome.errors, outcome.first_error) == (0, "")
    assert outcome.total > 100


async def test_an_answer_to_another_request_is_an_error() -> None:
    async with _echo() as port:
        outcome = await _load(port, Exchange(b"a", b"a"), Exchange(b"b", b"a"), concurrency=1)
    assert outcome.total // 2 <= outcome.errors < outcome.total
    assert outcome.first_error.startswith("wrong answer")


async def test_an_error_status_is_an_error_and_never_timed() -> None:
    async with _echo(fails=True) as port:
        outcome = await _load(port, Exchange(b"a", b"a"))
    assert outcome.errors == outcome.total > 0
    assert outcome.timed == 0
