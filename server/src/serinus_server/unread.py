"""How many bytes of answers may wait for clients that do not read them.

A request gives its slot back when it is answered. A client that asks for a large answer and never
reads it costs nothing but the answer's memory, and could do so on every connection that there may
be: with a megabyte each, these are gigabytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import structlog

_log = structlog.stdlib.get_logger(__name__)

MOST_BYTES = 64 * 1024 * 1024
_TELL_SECONDS = 10.0


class Connection(Protocol):
    """What has to be known of a connection."""

    def give_up(self) -> None:
        """End it at once, with the bytes that wait in it."""


class Unread:
    """Ends those that have not read for longest where too much waits. Lives on the event loop."""

    def __init__(self, most: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._sizes: dict[Connection, int] = {}  # in the order in which they stopped to read
        self._total = 0
        self._ended = 0
        self._told = -_TELL_SECONDS

    def add(self, connection: Connection, size: int) -> None:
        """``size`` bytes wait in ``connection``, which gets no more until they are read.

        It is never ended itself for this: one answer may be larger than all that may wait.
        """
        self.remove(connection)
        self._sizes[connection] = size
        self._total += size
        while self._total > self._most and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            self.remove(oldest)
            oldest.give_up()
            self._tell()

    def remove(self, connection: Connection) -> None:
        """They were read, or the connection has ended; does nothing for one that is not known."""
        self._total -= self._sizes.pop(connection, 0)

    def _tell(self) -> None:
        self._ended += 1
        now = self._clock()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            _log.warning(
                "too many unread answers: those that wait for longest are dropped",
                most_bytes=self._most,
                closed=self._ended,
            )
            self._ended = 0
