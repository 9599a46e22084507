"""The text of ``/metrics``, made in a thread: it takes a millisecond, and predictions must not wait.

Scrapes that come while one is being made get its text, so that any number of them cost no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Scrapes:
    """Lives on the event loop."""

    def __init__(self, render: Callable[[], bytes]) -> None:
        self._render = render
        self._running: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """What ``render`` returns; asked by one scrape at a time."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(asyncio.to_thread(self._render))
        # A scrape that is given up leaves the others their text.
        return await asyncio.shield(self._running)
