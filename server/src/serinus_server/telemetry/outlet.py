"""Log lines on their way out of the process, which never hold up anybody.

A pipe whose reader is slow or stuck blocks whoever writes to it. Here that is a thread of its own:
when it cannot keep up, lines are dropped and counted, and the server goes on serving.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

_MOST_LINES = 4096  # that wait to be written; with a kilobyte each they take 4 MiB
_MOST_AT_ONCE = 256  # lines in one system call

_Item = bytes | threading.Event


class Outlet:
    """Writes lines to ``descriptor``. ``put`` may be called from any thread.

    ``tell_dropped`` makes the line that says how many were dropped; it is written as soon as there is
    room again.
    """

    def __init__(
        self, descriptor: int, tell_dropped: Callable[[int], str], most_lines: int = _MOST_LINES
    ) -> None:
        self._descriptor = descriptor
        self._tell_dropped = tell_dropped
        self._most_lines = most_lines
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._lock = threading.Lock()
        self._dropped = 0
        threading.Thread(target=self._serve, name="log", daemon=True).start()

    def put(self, line: str) -> None:
        """Have ``line``, without its newline, written soon; or dropped, and counted."""
        if self._queue.qsize() >= self._most_lines:
            with self._lock:
                self._dropped += 1
            return
        self._queue.put(line.encode("utf-8", "backslashreplace") + b"\n")

    def flush(self, seconds: float) -> bool:
        """Wait until all lines until now are written, but no longer than ``seconds``."""
        written = threading.Event()
        self._queue.put(written)
        return written.wait(seconds)

    def _serve(self) -> None:
        while True:
            items = [self._queue.get()]
            with contextlib.suppress(Empty):
                while len(items) < _MOST_AT_ONCE:
                    items.append(self._queue.get_nowait())
            self._write(b"".join([item for item in items if isinstance(item, bytes)]))
            self._own_up()
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()

    def _own_up(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self._write(self._tell_dropped(dropped).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever shares the pipe made it so
                select.select((), (self._descriptor,), ())
            except (
                OSError
            ):  # nobody reads it any more, or the disk is full: there is nobody to tell
                return
