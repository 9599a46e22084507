"""Requests at a fixed rate that wait for nobody, each answer counted by status and revision.

The demo's load slows down when answers are late. This one does not: a request whose time has come is sent,
and its latency counts from that time, so that a stall shows in every request that it delayed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import aiohttp

from serinus.sandbox.demo.traffic import percentile
from serinus.sandbox.demo.training import LiveRows
from serinus_server.contract import HEADER_REVISION, HEADER_VERSION

TIMEOUT_SECONDS = 10.0
MAX_KEPT_PROBLEMS = 20
NO_ANSWER = 0  # in place of a status


@dataclass(slots=True)
class Tally:
    """What became of the requests."""

    sent: int = 0
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)  # (status, revision)
    wrong: int = 0  # 200, but not what the model says about the row
    problems: list[str] = field(default_factory=list)  # the first few, with their seconds
    latencies: list[float] = field(default_factory=list)  # seconds from when it was due; of all
    late: list[float] = field(default_factory=list)  # of that, before it was sent: a busy machine

    @property
    def failed(self) -> int:
        return sum(count for (status, _), count in self.answers.items() if status != 200)

    @property
    def revisions(self) -> set[str]:
        return {revision for _, revision in self.answers if revision}

    def __str__(self) -> str:
        return (
            f"{self.sent} requests, {self.failed} failed, {self.wrong} wrong, by status and revision "
            f"{dict(self.answers)}; latency {_spread(self.latencies)}, of that before it was sent "
            f"{_spread(self.late)}"
        )


class OpenLoop:
    """Asks for single rows over V2, from entering to leaving it."""

    def __init__(self, url: str, host: str, model: str, rows: LiveRows, rate: float) -> None:
        self.tally = Tally()
        self._url = f"{url.rstrip('/')}/v2/models/{model}/infer"
        self._headers = {"Host": host, "Content-Type": "application/json"}
        self._bodies = [_body(rows.columns, row) for row in rows.rows]
        self._expected = rows.answers
        self._pause = 1 / rate
        self._in_flight: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        self._began = asyncio.get_running_loop().time()
        self._sending = asyncio.create_task(self._send_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop sending, and wait for every answer that is still to come."""
        self._sending.cancel()
        await asyncio.wait([self._sending])
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        await self._session.close()
        if not self._sending.cancelled():
            self._sending.result()  # it never ends by itself: this raises what went wrong

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            task = asyncio.create_task(self._ask(self.tally.sent % len(self._bodies), due))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
            self.tally.sent += 1
            due += self._pause
            await asyncio.sleep(max(due - loop.time(), 0))

    async def _ask(self, row: int, due: float) -> None:
        loop = asyncio.get_running_loop()
        self.tally.late.append(loop.time() - due)
        status, content = NO_ANSWER, b""
        headers: Mapping[str, str] = {}
        try:
            async with self._session.post(
                self._url, data=self._bodies[row], headers=self._headers
            ) as response:
                content = await response.read()
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            content = f"{type(error).__name__}: {error}".encode()
        now = loop.time()
        self.tally.latencies.append(now - due)
        self._judge(row, status, headers, content, now - self._began)

    def _judge(
        self, row: int, status: int, headers: Mapping[str, str], content: bytes, at: float
    ) -> None:
        tally = self.tally
        tally.answers[status, headers.get(HEADER_REVISION, "")] += 1
        if status == 200:
            expected = self._expected[headers.get(HEADER_VERSION, "")][row]
            if json.loads(content)["outputs"][0]["data"] == [expected]:
                return
            tally.wrong += 1
        if len(tally.problems) < MAX_KEPT_PROBLEMS:
            said = content[:200].decode(errors="replace")
            tally.problems.append(f"after {at:.2f} s, row {row}: {status} {said}")


def _body(columns: tuple[str, ...], row: tuple[float, ...]) -> bytes:
    """One row as V2 has it: one tensor for each column of the signature."""
    inputs = [
        {"name": column, "shape": [1], "datatype": "FP64", "data": [value]}
        for column, value in zip(columns, row, strict=True)
    ]
    return json.dumps({"inputs": inputs}).encode()


def _spread(seconds: list[float]) -> str:
    p50, p99, worst = (1000 * (percentile(seconds, share) or 0.0) for share in (0.50, 0.99, 1))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.0f} ms"
