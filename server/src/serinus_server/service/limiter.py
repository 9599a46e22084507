"""How many predictions may be in flight. Refuses at once instead of letting a queue grow."""

from __future__ import annotations

from collections.abc import Callable

from serinus_server.errors import Overloaded


class Limiter:
    """Counts slots on the event loop. A slot is free again when its prediction has really ended."""

    def __init__(self, limit: int, on_change: Callable[[int], None] = lambda _used: None) -> None:
        self._limit = limit
        self._used = 0
        self._on_change = on_change

    @property
    def used(self) -> int:
        return self._used

    def acquire(self) -> None:
        """Take a slot.

        Raises:
            Overloaded: all slots are taken.
        """
        if self._used >= self._limit:
            raise Overloaded(self._limit)
        self._used += 1
        self._on_change(self._used)

    def release(self) -> None:
        """Give a slot back."""
        self._used -= 1
        self._on_change(self._used)
