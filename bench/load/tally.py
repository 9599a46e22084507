"""Who asks next, when, and what came of it: shared by all connections of a job."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from bench.arithmetic import percentile
from bench.load.job import Job, Outcome

IDLE = -1  # in place of a question's number


class Lane(Protocol):
    """A connection, or a stream of one, that can ask one question at a time."""

    def send(self, turn: int) -> None:
        """Ask the question with this number."""


class Tally:
    """Gives each lane its next question and books the answers; ``done`` when the time is over."""

    def __init__(self, job: Job) -> None:
        self.exchanges = job.exchanges
        self._job = job
        self._latencies: list[float] = []
        self._total = self._errors = self._left = 0
        self._first_error = ""
        self._turn = 0
        self._idle: deque[Lane] = deque()
        self._since: dict[Lane, float] = {}
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()

    def start(self, lanes: Sequence[Lane]) -> None:
        """Begin to ask. In an open loop the event loop spins, as its timers are too coarse."""
        self._cpu = time.process_time()
        self._start = time.perf_counter()
        self._begin = self._start + self._job.warmup
        self._end = self._begin + self._job.seconds
        if self._job.rate is None:
            for lane in lanes:
                self._ask(lane, time.perf_counter())
            return
        self._left = round(self._job.rate * (self._job.warmup + self._job.seconds))
        self._idle.extend(lanes)
        self._loop.call_soon(self._pace)

    def answered(self, lane: Lane, problem: str = "") -> None:
        """The lane's question got its answer; ``problem`` says what was wrong with it."""
        now = time.perf_counter()
        since = self._since.pop(lane)
        self._total += 1
        if problem:
            self._error(problem)
        elif self._begin <= (now if self._job.rate is None else since) <= self._end:
            self._latencies.append(now - since)
        if self._job.rate is not None:
            self._idle.append(lane)
        elif now < self._end:
            self._ask(lane, now)
        else:
            self._finish()

    def lost(self, lane: Lane, problem: str) -> None:
        """A lane is gone. An error, unless it was asked nothing and will be asked nothing more."""
        if self.done.done():
            return
        if lane in self._idle:
            self._idle.remove(lane)
        elif self._since.pop(lane, None) is None:
            return
        self._error(problem)
        self._finish()

    def outcome(self) -> Outcome:
        """What there is to say, once done."""
        milliseconds = [1000 * seconds for seconds in self._latencies] or [float("nan")]
        return Outcome(
            total=self._total,
            timed=len(self._latencies),
            errors=self._errors,
            seconds=self._job.seconds,
            elapsed=time.perf_counter() - self._start,
            cpu=time.process_time() - self._cpu,
            p50_ms=percentile(milliseconds, 0.5),
            p99_ms=percentile(milliseconds, 0.99),
            first_error=self._first_error,
        )

    def _ask(self, lane: Lane, since: float) -> None:
        self._since[lane] = since
        turn = self._turn
        self._turn = turn + 1 if turn + 1 < len(self.exchanges) else 0
        lane.send(turn)

    def _pace(self) -> None:
        """Send what is due. What finds no idle lane stays due: its latency goes on growing."""
        if self.done.done():
            return
        now = time.perf_counter()
        while self._left and self._idle and self._due() <= now:
            due = self._due()
            self._left -= 1
            self._ask(self._idle.popleft(), due)
        if not self._left:
            self._finish()
        self._loop.call_soon(self._pace)

    def _due(self) -> float:
        """When the next one is, counted from the end."""
        assert self._job.rate is not None  # noqa: S101 - only called in an open loop
        return self._end - self._left / self._job.rate

    def _error(self, text: str) -> None:
        self._errors += 1
        self._first_error = self._first_error or text

    def _finish(self) -> None:
        """Done when nobody waits for an answer and, in an open loop, nothing can be sent."""
        if self._since or self.done.done():
            return
        if self._job.rate is None or not self._left or not self._idle:
            self.done.set_result(None)
