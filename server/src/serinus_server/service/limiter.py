"""How many predictions may be in flight. Refuses at once instead of letting a queue grow."""

from __future__ import annotations

from serinus_server.errors import Overloaded


class Limiter:
    """Counts slots on the event loop. A slot is free again when its prediction has really ended."""

    __slots__ = ("_limit", "used")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def acquire(self) -> None:
        """Take a slot.

        Raises:
            Overloaded: all slots are taken.
        """
        if self.used >= self._limit:
            raise Overloaded(self._limit)
        self.used += 1

    def release(self) -> None:
        """Give a slot back."""
        self.used -= 1
