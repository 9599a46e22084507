"""Real requests, one after the other at a steady rate, and an account of every answer.

A request is sent when its time has come, however long the last one takes, so that a slow model
cannot make the demo look at it less; only a machine that cannot keep up at all slows the sender.
Each answer is checked against what the version that gave it is known to say about that row.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import aiohttp

from serinus.sandbox import clock
from serinus.sandbox.demo.training import LiveRows

PATH = "/invocations"
VERSION_HEADER = "x-serinus-version"
WINDOW_SECONDS = 10.0
REQUEST_TIMEOUT = 10.0  # seconds
MAX_IN_FLIGHT = 40  # below the model server's own limit: the demo shows models, not overload
MAX_KEPT_PROBLEMS = 5  # of each version and outcome
DRAIN_SECONDS = 5.0


class Outcome(StrEnum):
    """What became of one request."""

    OK = "ok"
    MODEL_ERROR = "model error"  # a model server answered, with 5xx
    WRONG = "wrong"  # a model server answered, but not what its version says about the row
    REFUSED = "refused"  # no model server answered


@dataclass(frozen=True, slots=True)
class Answer:
    """One finished request. ``version`` is empty when no model server answered."""

    at: float  # seconds on the loop's clock, when the answer was there
    version: str
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request was not answered well, and when; the first few of each kind are kept."""

    at: datetime
    outcome: Outcome
    version: str
    why: str


@dataclass(frozen=True, slots=True)
class Recent:
    """One version over the last seconds, as the client saw it."""

    requests: int
    per_second: float
    error_rate: float | None  # None without requests
    p90: float | None  # seconds; None without requests
    p99: float | None


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of the values do not exceed; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


class Account:
    """Counts every answer by version and outcome; remembers the last seconds in full."""

    def __init__(self, window: float = WINDOW_SECONDS) -> None:
        self.totals: Counter[tuple[str, Outcome]] = Counter()
        self.first: dict[tuple[str, Outcome], float] = {}
        self.last: dict[str, float] = {}
        self.problems: list[Problem] = []
        self._window = window
        self._recent: deque[Answer] = deque()

    def add(self, answer: Answer, why: str = "") -> None:
        """Count an answer; ``why`` explains one that is not ok."""
        key = (answer.version, answer.outcome)
        self.totals[key] += 1
        self.first.setdefault(key, answer.at)
        self.last[answer.version] = max(answer.at, self.last.get(answer.version, answer.at))
        self._recent.append(answer)
        self._forget(answer.at)
        if answer.outcome is not Outcome.OK and self.totals[key] <= MAX_KEPT_PROBLEMS:
            self.problems.append(Problem(clock.now(), answer.outcome, answer.version, why))

    def recent(self, version: str, now: float, seconds: float | None = None) -> Recent:
        """What ``version`` did in the last ``seconds`` before ``now``; default: the whole window."""
        self._forget(now)
        start = now - (self._window if seconds is None else seconds)
        answers = [a for a in self._recent if a.version == version and a.at >= start]
        if not answers:
            return Recent(0, 0.0, None, None, None)
        # A version that has only just got traffic is not slow: count from its first answer.
        since = max(start, min(a.at for a in answers))
        bad = sum(a.outcome is not Outcome.OK for a in answers)
        return Recent(
            requests=len(answers),
            per_second=len(answers) / max(now - since, 1.0),
            error_rate=bad / len(answers),
            p90=percentile((a.seconds for a in answers), 0.90),
            p99=percentile((a.seconds for a in answers), 0.99),
        )

    def total(self, version: str | None = None, outcome: Outcome | None = None) -> int:
        """How many answers there were, of one version or outcome if they are named."""
        return sum(
            count
            for (v, o), count in self.totals.items()
            if version in (None, v) and outcome in (None, o)
        )

    def versions(self) -> list[str]:
        """The versions that answered, in their order."""
        return sorted({version for version, _ in self.totals if version}, key=lambda v: (len(v), v))

    def shares(self) -> Mapping[str, int]:
        """Answers by version so far: the difference of two such counts is what came between."""
        return Counter({version: self.total(version) for version in self.versions()})

    def first_bad(self, version: str) -> float | None:
        """When ``version`` first answered with an error or wrongly."""
        times = [
            self.first[key]
            for outcome in (Outcome.MODEL_ERROR, Outcome.WRONG)
            if (key := (version, outcome)) in self.first
        ]
        return min(times, default=None)

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0].at < now - self._window:
            self._recent.popleft()


def classify(
    status: int, version: str, body: bytes, expected: Mapping[str, int | None]
) -> tuple[Outcome, str]:
    """Judge one answer; the text says why it is not ok.

    ``expected`` is what each version says about the row, None where it raises.
    """
    if not version:
        return Outcome.REFUSED, f"the gateway answered {status} itself"
    if status != 200:
        outcome = Outcome.MODEL_ERROR if status >= 500 else Outcome.WRONG
        return outcome, f"status {status}: {body[:120].decode(errors='replace')}"
    try:
        predictions = json.loads(body)["predictions"]
    except (ValueError, KeyError, TypeError):
        return Outcome.WRONG, f"no predictions: {body[:120].decode(errors='replace')}"
    if version not in expected:
        return Outcome.WRONG, f"version {version} is none of ours"
    if predictions != [expected[version]]:
        return Outcome.WRONG, f"predictions {predictions!r}, expected {[expected[version]]}"
    return Outcome.OK, ""


class Load:
    """Sends the live rows in turn, ``rate`` per second, until cancelled.

    The rate may be changed while it runs.
    """

    def __init__(
        self, url: str, host: str, rows: LiveRows, account: Account, *, rate: float
    ) -> None:
        self._url = url.rstrip("/") + PATH
        self._headers = {"Host": host, "Content-Type": "application/json"}
        self._requests = encode(rows)
        self._account = account
        self.rate = rate
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send for ever. When cancelled, what is in flight is awaited for some seconds."""
        loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            due, turn = loop.time(), 0
            try:
                while True:
                    self._start(session, turn)
                    turn, due = turn + 1, due + 1 / self.rate
                    if len(self._in_flight) >= MAX_IN_FLIGHT:
                        await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
                        due = max(due, loop.time())  # what was not sent is not made up for
                    await asyncio.sleep(max(due - loop.time(), 0))
            finally:
                if self._in_flight:
                    _, late = await asyncio.wait(self._in_flight, timeout=DRAIN_SECONDS)
                    for task in late:
                        task.cancel()

    def _start(self, session: aiohttp.ClientSession, turn: int) -> None:
        body, expected = self._requests[turn % len(self._requests)]
        task = asyncio.create_task(self._send(session, body, expected))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _send(
        self, session: aiohttp.ClientSession, body: bytes, expected: Mapping[str, int | None]
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        version = ""
        try:
            async with session.post(self._url, data=body, headers=self._headers) as response:
                content = await response.read()
                version = response.headers.get(VERSION_HEADER, "")
                outcome, why = classify(response.status, version, content, expected)
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome, why = Outcome.REFUSED, f"{type(error).__name__}: {error}"
        ended = loop.time()
        self._account.add(Answer(ended, version, outcome, ended - began), why)


def encode(rows: LiveRows) -> Sequence[tuple[bytes, Mapping[str, int | None]]]:
    """The request of each row, ready to send, and what each version says about it."""
    return [
        (
            json.dumps({"dataframe_split": {"columns": rows.columns, "data": [row]}}).encode(),
            {version: answers[position] for version, answers in rows.answers.items()},
        )
        for position, row in enumerate(rows.rows)
    ]
