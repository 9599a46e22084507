"""What a load generator is told to do, and what it found."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request's body and the one right answer to it."""

    body: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, and for how long. Answers of the first ``warmup`` seconds are not timed.

    ``rate`` is None for a closed loop (every connection asks again as soon as it has its answer);
    otherwise so many requests per second are due at even distances, whether the server keeps up
    or not, and a latency begins when its request was due. ``grpc``: HTTP/2 and gRPC's framing
    instead of HTTP/1.1.
    """

    port: int
    path: str
    exchanges: Sequence[Exchange]
    concurrency: int
    seconds: float
    warmup: float
    rate: float | None = None
    grpc: bool = False

    def dumps(self) -> str:
        """As text, for another process."""
        document = asdict(self)
        document["exchanges"] = [
            [base64.b64encode(part).decode() for part in (exchange.body, exchange.answer)]
            for exchange in self.exchanges
        ]
        return json.dumps(document)

    @classmethod
    def loads(cls, text: str) -> Job:
        """What ``dumps`` wrote."""
        document = json.loads(text)
        parts = document.pop("exchanges")
        exchanges = [Exchange(*(base64.b64decode(part) for part in pair)) for pair in parts]
        return cls(exchanges=exchanges, **document)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``total`` counts every request, ``timed`` the right answers that came within the ``seconds``
    after the warm-up, whenever they were asked for: a slow server's rate would suffer otherwise.
    In an open loop ``timed`` are the right answers to what was due in that time.

    ``elapsed`` are the seconds of all requests, ``cpu`` those of the generator's own processor
    time meanwhile. ``errors`` are answers other than 200, wrong answers and lost connections. The
    latencies are NaN when nothing was timed.
    """

    total: int
    timed: int
    errors: int
    seconds: float
    elapsed: float
    cpu: float
    p50_ms: float
    p99_ms: float
    first_error: str = ""
