"""A few threads for what takes too long for the event loop; their results come back to the loop.

Not a ThreadPoolExecutor: its futures cost twice as much as the hop between threads itself, and its
threads hold up the end of the process when a model never returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias

_Work: TypeAlias = "tuple[Callable[[], Any], Callable[[Any], None]] | None"


class Workers:
    """``count`` threads. Whoever gives them work also counts how many are free."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        self._count = count
        for number in range(count):
            threading.Thread(target=self._serve, name=f"predict-{number}", daemon=True).start()

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Call ``work``, which must not raise, in a thread, and ``done`` with its result on the loop."""
        self._queue.put((work, done))

    def close(self) -> None:
        """Let idle threads end, and the others when they are done; waits for nothing."""
        for _ in range(self._count):
            self._queue.put(None)

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            result = work()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(done, result)
            del item, work, done, result  # an idle thread must keep no request's data
