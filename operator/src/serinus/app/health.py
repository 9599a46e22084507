"""Whether this process makes progress, and whether it can do its work.

That a probe is answered at all proves that the event loop runs. Beyond that: a ticker, the resync, the
reconciles and the Lease must all have moved lately.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serinus.app.lease import Lease

STUCK = 120.0  # seconds in one reconcile, which is to end long before
STILL = 30.0  # seconds without a tick, or without a try for the Lease


def loop_time() -> float:
    """The event loop's clock, which a simulation may run on virtual time."""
    return asyncio.get_running_loop().time()


class Health:
    """What has moved, and when. Made in a running event loop, unless it gets another clock.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = loop_time) -> None:
        self._clock = clock
        self._ticked_at = clock()
        self._alive_at: float | None = None  # None: nothing to resync yet
        self._resynced_at: float | None = None
        self._running: dict[object, float] = {}

    def ticked(self) -> None:
        """The loop came around."""
        self._ticked_at = self._clock()

    def begun(self) -> None:
        """The work begins: this process leads, or there is no election."""
        self._alive_at = self._clock()

    def alive(self) -> None:
        """The API server answered, if not with objects."""
        self._alive_at = self._clock()

    def resynced(self) -> None:
        """A resync went through."""
        self._alive_at = self._resynced_at = self._clock()

    def resync_age(self) -> float:
        """Seconds since the last resync that went through; NaN before the first."""
        return self._clock() - self._resynced_at if self._resynced_at is not None else float("nan")

    @contextmanager
    def reconciling(self) -> Iterator[Callable[[], float]]:
        """Around one reconcile; what it yields tells the seconds since it began."""
        me, began = object(), self._clock()
        self._running[me] = began
        try:
            yield lambda: self._clock() - began
        finally:
            del self._running[me]

    def trouble(self, limit: float, lease: Lease | None = None) -> str:
        """Why this process had better be started anew; empty when it makes progress.

        Args:
            limit: how many seconds ago the last resync, or the start of the work, may be.
        """
        now = self._clock()
        if now - self._ticked_at > STILL:
            return f"the event loop has not come around for {now - self._ticked_at:.0f} s"
        longest = max((now - since for since in self._running.values()), default=0.0)
        if longest > STUCK:
            return f"a worker has been in one reconcile for {longest:.0f} s"
        if self._alive_at is not None and now - self._alive_at > limit:
            return f"no resync went through for {now - self._alive_at:.0f} s"
        if lease is None:
            return ""
        if lease.leading and lease.age() > lease.times.duration:
            return f"the Lease was not renewed for {lease.age():.0f} s"
        if lease.idle() > STILL:
            return f"the Lease was not looked at for {lease.idle():.0f} s"
        return ""

    def unready(self, lease: Lease | None = None) -> str:
        """Why this process cannot do its work yet; a standby's work is to watch the Lease."""
        if lease is not None and not lease.leading:
            return lease.trouble
        return "" if self._resynced_at is not None else "the first resync is not through yet"
