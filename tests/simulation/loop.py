"""An event loop on virtual time: nothing waits, and the same run is the same run.

Time jumps to the next timer as soon as nothing is left to do. Callbacks run in the order in which
they were asked for. What would reach outside (threads, sockets, executors) is an error.

Every callback belongs to the process in whose context it was made. A process can be frozen (its
callbacks wait) or dead (they never run): so a crash is a crash, without ``finally`` blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from typing import Any, NoReturn


class Process:
    """What shares a fate: callbacks of one operator process."""

    __slots__ = ("context", "dead", "frozen", "name", "parked")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.parked: list[asyncio.Handle] = []
        self.context = contextvars.Context()
        self.context.run(PROCESS.set, self)


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("PROCESS")
OUTSIDE = contextvars.Context()  # of what belongs to no process: the server, controllers, users


class Stalled(Exception):
    """Nothing is left to run, and nothing is scheduled."""


class VirtualLoop(BaseEventLoop):
    """An asyncio event loop whose seconds cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self.failures: list[str] = []
        self._tasks: list[asyncio.Task[Any]] = []  # all, so that none is finalized within the run
        self.set_exception_handler(self._failed)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def outside(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Calls back after ``delay`` seconds, as part of the world and of no process."""
        self.call_at(self._now + delay, callback, *args, context=OUTSIDE)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are skipped when their time comes."""

    def thaw(self, process: Process) -> None:
        """Everything that waited for the frozen process happens now."""
        process.frozen = False
        self._ready.extend(process.parked)  # type: ignore[attr-defined]
        process.parked = []

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        timers = self._timers
        if not ready:
            while timers and timers[0][2]._cancelled:  # type: ignore[attr-defined]
                heapq.heappop(timers)
            if not timers:
                raise Stalled
            self._now = max(self._now, timers[0][0])
            while timers and timers[0][0] <= self._now:
                ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is not None:
                if process.dead:
                    continue
                if process.frozen:
                    process.parked.append(handle)
                    continue
            handle._run()

    def create_task(self, coro: Any, **rest: Any) -> asyncio.Task[Any]:
        task = super().create_task(coro, **rest)
        self._tasks.append(task)
        return task

    def discard(self) -> None:
        """Forgets every task where it stands, and closes."""
        asyncio.events._set_running_loop(self)  # what is closed may still ask for the time
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(BaseException):  # what the dead say is not heard
                    task.get_coro().close()  # type: ignore[union-attr]
            elif not task.cancelled():
                task.exception()  # has been seen
        asyncio.events._set_running_loop(None)
        self._tasks.clear()
        self._timers.clear()
        self.close()

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("the simulation has one thread")

    def run_in_executor(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("the simulation has one thread")

    def _write_to_self(self) -> None:
        raise RuntimeError("the simulation has one thread")
