"""The work queue: one key at a time per object, rollouts before objects at rest, failures back off.

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
PREFERRED_IN_A_ROW = 3  # then one of the others has its turn


class WorkQueue(Generic[K]):
    """Keys that are due, and keys that will be.

    A key that is added while a worker has it is handed out again after :meth:`done`, never to two
    workers at once. Adding a key again keeps the earlier of both times. Of the keys that are due the
    preferred ones go first, but for every fourth turn: a thousand new objects do not keep a breach waiting,
    nor do rollouts keep new objects from starting.
    """

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._preferred: set[K] = set()
        self._lanes: dict[bool, list[tuple[float, int, K]]] = {True: [], False: []}  # preferred?
        self._in_a_row = 0
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
        self._push(key, at)

    def prefer(self, key: K, *, preferred: bool) -> None:
        """Whether the key goes before those that are not preferred, from now on."""
        if preferred == (key in self._preferred):
            return
        (self._preferred.add if preferred else self._preferred.discard)(key)
        if key in self._due:
            self._push(key, self._due[key])  # what is in the other lane counts no more

    def _push(self, key: K, at: float) -> None:
        self._count += 1
        heapq.heappush(self._lanes[key in self._preferred], (at, self._count, key))
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
        while True:
            first = self._in_a_row < PREFERRED_IN_A_ROW
            waits = []
            for preferred in (first, not first):
                found, wait = self._first(preferred)
                if found is not None:
                    self._in_a_row = self._in_a_row + 1 if preferred else 0
                    del self._due[found]
                    self._running.add(found)
                    return found
                if wait is not None:
                    waits.append(wait)
            self._changed.clear()
            try:
                # A held key comes free through done(), which sets the event.
                async with asyncio.timeout(min(waits, default=None)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _first(self, preferred: bool) -> tuple[K | None, float | None]:
        """Takes the first key of a lane that is due and free; else the seconds until one is due."""
        now = asyncio.get_running_loop().time()
        lane = self._lanes[preferred]
        held: list[tuple[float, int, K]] = []
        found: K | None = None
        wait = None
        while lane and found is None:
            at, count, key = lane[0]
            if self._due.get(key) != at or (key in self._preferred) != preferred:
                heapq.heappop(lane)  # replaced by an earlier time, or in the other lane
            elif at > now:
                wait = at - now
                break
            else:
                heapq.heappop(lane)
                if key in self._running:
                    held.append((at, count, key))
                else:
                    found = key
        for item in held:
            heapq.heappush(lane, item)
        return found, wait

    def done(self, key: K) -> None:
        """The worker is finished with the key."""
        self._running.discard(key)
        self._changed.set()
