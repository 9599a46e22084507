"""How many connections there may be, and which of them go when there are more.

Without a limit, whoever opens connections takes all file descriptors, and health is no longer answered;
then the kubelet restarts a server that is well. Idle connections are nobody's loss: HTTP clients
know that a connection may end between two requests.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

_log = structlog.stdlib.get_logger(__name__)

# Descriptors that connections do not get: for files and logs, and for what is accepted in one turn of
# the event loop, before there can be room.
_RESERVED = 1024
_SHARE = 16  # one in so many goes at once, so that looking at all of them is worth it
_TELL_SECONDS = 10.0


class Connection(Protocol):
    """What has to be known of a connection."""

    def evictable_since(self) -> float | None:
        """When its last request ended, or it began, in the loop's time; None: it has a request."""

    def evict(self) -> None:
        """End it."""


def raise_file_limit() -> int:
    """Let the process open as many files as it may; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # more than the kernel has for one process
        return soft
    return hard


def most_connections(wanted: int, files: int) -> int:
    """How many there may be of ``wanted`` ones where ``files`` files may be open."""
    if files < 0:  # no limit
        return wanted
    return max(1, min(wanted, files - min(_RESERVED, files // 4)))


class Crowd:
    """Makes room among too many connections. Lives on the event loop."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        self._evicted = 0
        self._told = -_TELL_SECONDS

    def make_room(self, connections: Iterable[Connection], newest: Connection) -> None:
        """End those that have been idle for longest; or ``newest``, if all have requests."""
        idle = [
            (since, number, connection)
            for number, connection in enumerate(connections)
            if connection is not newest and (since := connection.evictable_since()) is not None
        ]
        idle.sort()
        leaving = [connection for _, _, connection in idle[: max(1, self.most // _SHARE)]]
        for connection in leaving or [newest]:
            connection.evict()
        self._tell(len(leaving) or 1)

    def _tell(self, evicted: int) -> None:
        self._evicted += evicted
        now = self._clock()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            _log.warning(
                "too many connections: idle ones are closed", most=self.most, closed=self._evicted
            )
            self._evicted = 0
