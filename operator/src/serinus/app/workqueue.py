"""The work queue: one key at a time per object, newest reason wins, failures back off.

Time is the event loop's, so that a simulation can run it on virtual time.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST = 0.5
BACKOFF_LAST = 30.0


class WorkQueue(Generic[K]):
    """Keys that are due, and keys that will be.

    A key that is added while a worker has it is handed out again after :meth:`done`, never to two
    workers at once. Adding a key again keeps the earlier of both times.
    """

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._running: set[K] = set()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, key: K, after: float = 0.0) -> None:
        """Makes the key due in ``after`` seconds, or earlier if it already is."""
        at = asyncio.get_running_loop().time() + max(0.0, after)
        known = self._due.get(key)
        if known is not None and known <= at:
            return
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        self._changed.set()

    def failed(self, key: K) -> float:
        """Makes the key due after its back-off: 0.5 s, doubled by each failure in a row, 30 s at most."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = min(BACKOFF_LAST, BACKOFF_FIRST * 2.0 ** min(count, 16))
        self.add(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forgets the key's failures."""
        self._failures.pop(key, None)

    def depth(self) -> tuple[int, float]:
        """How many keys are due and wait for a worker, and for how many seconds the first of them has."""
        now = asyncio.get_running_loop().time()
        due = [at for at in self._due.values() if at <= now]
        return len(due), now - min(due, default=now)

    async def take(self) -> K:
        """The next due key that no worker has; waits for one. Give it back with :meth:`done`."""
        loop = asyncio.get_running_loop()
        while True:
            wait = None
            held: list[tuple[float, int, K]] = []
            found: K | None = None
            while self._heap:
                at, count, key = self._heap[0]
                if self._due.get(key) != at:
                    heapq.heappop(self._heap)  # replaced by an earlier time
                    continue
                if at > loop.time():
                    wait = at - loop.time()
                    break
                heapq.heappop(self._heap)
                if key in self._running:
                    held.append((at, count, key))
                    continue
                found = key
                break
            for item in held:
                heapq.heappush(self._heap, item)
            if found is not None:
                del self._due[found]
                self._running.add(found)
                return found
            self._changed.clear()
            try:
                # A held key comes free through done(), which sets the event.
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """The worker is finished with the key."""
        self._running.discard(key)
        self._changed.set()
