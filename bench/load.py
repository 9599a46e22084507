"""The load generator: a closed loop over keep-alive connections, in a process of its own.

``python -m bench.load`` reads one job (JSON) from standard input and writes its outcome to
standard output. Every answer is compared, byte by byte, with the one that was checked before.
It must cost much less than a server per request: bodies are prepared, answers never decoded.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import httptools
import uvloop

from bench.arithmetic import percentile

_CONNECT_SECONDS = 10.0
_GRACE_SECONDS = 15.0  # for the answers to the last requests


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request's body and the one right answer to it."""

    body: str
    answer: str


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, and for how long. Answers of the first ``warmup`` seconds are not timed."""

    port: int
    path: str
    exchanges: Sequence[Exchange]
    concurrency: int
    seconds: float
    warmup: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """``total`` counts every request, ``timed`` the right answers that came within the ``seconds``
    after the warm-up, whenever they were asked for: a slow server's rate would suffer otherwise.

    ``elapsed`` are the seconds of all requests. ``errors`` are answers other than 200, wrong
    answers and lost connections. The latencies are NaN when nothing was timed.
    """

    total: int
    timed: int
    errors: int
    seconds: float
    elapsed: float
    p50_ms: float
    p99_ms: float
    first_error: str = ""


class _Tally:
    """What all connections of a job share."""

    def __init__(self, job: Job) -> None:
        self.requests = [_request(job, exchange.body) for exchange in job.exchanges]
        self.answers = [exchange.answer.encode() for exchange in job.exchanges]
        self.latencies: list[float] = []
        self.total = self.errors = 0
        self.first_error = ""
        self.start = time.perf_counter()
        self.begin = self.start + job.warmup
        self.end = self.begin + job.seconds

    def error(self, text: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or text


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered, until the time is over."""

    def __init__(self, tally: _Tally, offset: int, done: asyncio.Future[None]) -> None:
        self._tally = tally
        self._turn = offset
        self._done = done
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._sent = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP, always
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._finish(f"no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(f"connection lost: {exc}")

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        tally = self._tally
        tally.total += 1
        status = self._parser.get_status_code()
        if status != 200:
            tally.error(f"{status}: {self._body[:200].decode(errors='replace')}")
        elif self._body != tally.answers[self._turn]:
            tally.error(f"wrong answer: {self._body[:200].decode(errors='replace')}")
        elif tally.begin <= now <= tally.end:
            tally.latencies.append(now - self._sent)
        if now >= tally.end:
            self._finish("")
            return
        self._turn = (self._turn + 1) % len(tally.requests)
        self._send()

    def _send(self) -> None:
        self._body.clear()
        self._sent = time.perf_counter()
        self._transport.write(self._tally.requests[self._turn])

    def _finish(self, problem: str) -> None:
        if self._done.done():
            return
        if problem:
            self._tally.error(problem)
        self._done.set_result(None)
        self._transport.close()


async def run(job: Job) -> Outcome:
    """Do the job.

    Raises:
        OSError: the server does not accept connections.
        TimeoutError: it does not answer any more.
    """
    loop = asyncio.get_running_loop()
    tally = _Tally(job)
    waiting: list[asyncio.Future[None]] = []
    for number in range(job.concurrency):
        done: asyncio.Future[None] = loop.create_future()
        waiting.append(done)
        offset = number % len(job.exchanges)
        async with asyncio.timeout(_CONNECT_SECONDS):
            await loop.create_connection(
                lambda offset=offset, done=done: _Connection(tally, offset, done),  # type: ignore[misc]
                "127.0.0.1",
                job.port,
            )
    async with asyncio.timeout(job.warmup + job.seconds + _GRACE_SECONDS):
        await asyncio.gather(*waiting)
    milliseconds = [1000 * seconds for seconds in tally.latencies] or [float("nan")]
    return Outcome(
        total=tally.total,
        timed=len(tally.latencies),
        errors=tally.errors,
        seconds=job.seconds,
        elapsed=time.perf_counter() - tally.start,
        p50_ms=percentile(milliseconds, 0.5),
        p99_ms=percentile(milliseconds, 0.99),
        first_error=tally.first_error,
    )


def _request(job: Job, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def main() -> None:
    """One job, from standard input to standard output."""
    document = json.load(sys.stdin)
    exchanges = [Exchange(**exchange) for exchange in document.pop("exchanges")]
    outcome = uvloop.run(run(Job(exchanges=exchanges, **document)))
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
