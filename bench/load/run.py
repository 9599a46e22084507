"""Connects, asks until the time is over, and hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bench.load.grpc import Channel, Messages
from bench.load.http import Connection, Questions
from bench.load.job import Job, Outcome
from bench.load.tally import Lane, Tally

_CONNECT_SECONDS = 10.0
_GRACE_SECONDS = 15.0  # for the answers to the last requests
_CALLS_PER_CHANNEL = 16


async def run(job: Job) -> Outcome:
    """Do the job.

    Raises:
        OSError: the server does not accept connections.
        TimeoutError: it does not answer any more.
    """
    tally = Tally(job)
    transports: list[asyncio.BaseTransport] = []
    lanes: list[Lane] = []
    try:
        for make in _protocols(job, tally):
            transport, protocol = await _connect(job.port, make)
            transports.append(transport)
            lanes += protocol.calls if isinstance(protocol, Channel) else [protocol]
        tally.start(lanes)
        async with asyncio.timeout(job.warmup + job.seconds + _GRACE_SECONDS):
            await tally.done
    finally:
        for transport in transports:
            transport.close()
        await asyncio.sleep(0)  # until they are closed
    return tally.outcome()


def _protocols(job: Job, tally: Tally) -> Sequence[Callable[[], Connection | Channel]]:
    """One for each connection. Calls of gRPC share one, requests of HTTP/1.1 cannot."""
    if not job.grpc:
        questions = Questions(job)
        return [lambda: Connection(questions, tally)] * job.concurrency
    messages = Messages(job)
    sizes = [
        min(_CALLS_PER_CHANNEL, job.concurrency - begin)
        for begin in range(0, job.concurrency, _CALLS_PER_CHANNEL)
    ]
    return [lambda size=size: Channel(messages, tally, size) for size in sizes]  # type: ignore[misc]


async def _connect(
    port: int, make: Callable[[], Connection | Channel]
) -> tuple[asyncio.BaseTransport, Connection | Channel]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await loop.create_connection(make, "127.0.0.1", port)
