"""Connects, asks until the time is over, and hangs up."""

from __future__ import annotations

import asyncio

from bench.load.http import Connection, Questions
from bench.load.job import Job, Outcome
from bench.load.tally import Tally

_CONNECT_SECONDS = 10.0
_GRACE_SECONDS = 15.0  # for the answers to the last requests


async def run(job: Job) -> Outcome:
    """Do the job.

    Raises:
        OSError: the server does not accept connections.
        TimeoutError: it does not answer any more.
    """
    tally = Tally(job)
    transports: list[asyncio.BaseTransport] = []
    lanes: list[Connection] = []
    questions = Questions(job)
    try:
        for _ in range(job.concurrency):
            transport, lane = await _connect(job.port, questions, tally)
            transports.append(transport)
            lanes.append(lane)
        tally.start(lanes)
        async with asyncio.timeout(job.warmup + job.seconds + _GRACE_SECONDS):
            await tally.done
    finally:
        for transport in transports:
            transport.close()
        await asyncio.sleep(0)  # until they are closed
    return tally.outcome()


async def _connect(
    port: int, questions: Questions, tally: Tally
) -> tuple[asyncio.BaseTransport, Connection]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await loop.create_connection(lambda: Connection(questions, tally), "127.0.0.1", port)
