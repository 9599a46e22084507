"""Tells about requests that have ended: in the access log, and as traces.

The event loop only appends to a queue. A thread makes lines and spans of it, in bunches, so that
requests do not pay for waking it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Any, NamedTuple, Protocol

import structlog

from serinus_server.telemetry.logs import Logs
from serinus_server.telemetry.seen import Seen, trace_id

_log = structlog.stdlib.get_logger(__name__)

_MOST_WAITING = 4096
_GATHER_SECONDS = 0.05
_MOST_FAILURES = 10  # lines per second


class Tracer(Protocol):
    """Makes spans of requests; see ``traces.Traces``."""

    def record(self, seen: Seen, epoch: float) -> str:
        """The id of the request's trace. ``epoch`` is when ``perf_counter`` was 0."""

    def close(self, seconds: float) -> None:
        """Send what waits, but take no longer than ``seconds``."""


class _Entry(NamedTuple):
    seen: Seen
    logged: bool
    suppressed: int


class Observer:
    """Logs a ``sample`` (0 to 1) of the requests and failures always, up to ten per second.

    ``chooses``, ``ended`` and ``close`` are for the event loop alone.
    """

    def __init__(self, sample: float, logs: Logs | None, traces: Tracer | None = None) -> None:
        # Whether every request is to be told about, or failures only.
        self.watches = traces is not None or (sample > 0 and logs is not None)
        self._sample = sample
        self._logs = logs
        self._traces = traces
        self._queue: deque[_Entry] = deque()
        self._dropped = 0
        self._second = 0
        self._failures = 0
        self._suppressed = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def chooses(self) -> bool:
        """Whether to tell about a request that did not fail. Asked first: most are not told about."""
        return self._traces is not None or self._in_sample()

    def ended(self, seen: Seen) -> None:
        """Tell about a request that failed or was chosen, later."""
        logged = self._is_logged(seen)
        if not logged and self._traces is None:
            return
        if len(self._queue) >= _MOST_WAITING:
            self._dropped += 1
            return
        suppressed = 0
        if logged:
            suppressed, self._suppressed = self._suppressed, 0
        self._queue.append(_Entry(seen, logged, suppressed))
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="observe", daemon=True)
                self._thread.start()

    def close(self, seconds: float) -> None:
        """Tell about all requests until now, in at most ``seconds``."""
        deadline = time.monotonic() + seconds
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
        if self._traces is not None:
            self._traces.close(max(0.0, deadline - time.monotonic()))

    def _in_sample(self) -> bool:
        return random.random() < self._sample  # noqa: S311 - no secret

    def _is_logged(self, seen: Seen) -> bool:
        if self._logs is None:
            return False
        if not seen.failed:
            return self._traces is None or self._in_sample()  # else it was chosen for its trace
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._failures = second, 0
        self._failures += 1
        if self._failures <= _MOST_FAILURES:
            return True
        self._suppressed += 1
        return False

    def _serve(self) -> None:
        while True:
            self._wake.wait()
            closing = self._closing.wait(_GATHER_SECONDS)
            self._wake.clear()
            epoch = time.time() - time.perf_counter()
            while self._queue:
                entry = self._queue.popleft()
                try:
                    self._tell(entry, epoch)
                except Exception:  # noqa: BLE001 - one request that cannot be told about is not the last
                    _log.exception("a request was not told about")
            dropped, self._dropped = self._dropped, 0
            if dropped:
                _log.warning("requests were not told about: too many at once", requests=dropped)
            if closing:
                return

    def _tell(self, entry: _Entry, epoch: float) -> None:
        seen = entry.seen
        trace = trace_id(seen.headers) if self._traces is None else self._traces.record(seen, epoch)
        if entry.logged and self._logs is not None:
            level = "warning" if seen.failed else "info"
            time_of_end = epoch + seen.begin + seen.seconds
            self._logs.write("access", level, "request", _fields(entry, trace), time_of_end)


def _fields(entry: _Entry, trace: str) -> dict[str, Any]:
    seen = entry.seen
    fields: dict[str, Any] = {
        "protocol": seen.protocol,
        "status": seen.code,
        "seconds": round(seen.seconds, 6),
    }
    if seen.rows:
        fields["rows"] = seen.rows
    if seen.call is not None:
        fields["batch_rows"] = seen.call.rows
        fields["batch_requests"] = seen.call.requests
    known = {
        "error": seen.error,
        "request_id": seen.request_id,
        "trace_id": trace,
        "suppressed": entry.suppressed,
    }
    return fields | {name: value for name, value in known.items() if value}
