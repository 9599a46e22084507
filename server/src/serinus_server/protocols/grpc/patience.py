"""Deadlines for many short waits, of which hardly any is ever missed.

``asyncio.timeout`` makes and cancels a timer for each wait, which is a tenth of what a call costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")

_TICK = 0.25  # seconds; a wait that is over by less may go on


class Patience:
    """Looks a few times per second after those who wait; not at all while nobody does."""

    def __init__(self) -> None:
        self._deadlines: dict[asyncio.Task[object], float] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._ticking = False

    async def wait(self, awaited: Awaitable[Result], deadline: float) -> Result:
        """The result of ``awaited``, which must come by ``deadline``, the loop's time.

        Raises:
            TimeoutError: it did not come, and is cancelled.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines run in tasks
        self._deadlines[task] = deadline
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(_TICK, self._look)
        try:
            return await awaited
        except asyncio.CancelledError:
            if task in self._overdue and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._deadlines[task]
            self._overdue.discard(task)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, deadline in self._deadlines.items():
            if deadline <= now and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._ticking = bool(self._deadlines)
        if self._ticking:
            loop.call_later(_TICK, self._look)
