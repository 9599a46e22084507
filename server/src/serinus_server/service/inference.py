"""The data plane: lets a request to the model, or says why not. The same for every protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serinus_server.errors import NotReady, PredictionTimeout
from serinus_server.service.lifecycle import Lifecycle, State
from serinus_server.service.limiter import Limiter
from serinus_server.service.model import ServedModel

Result = TypeVar("Result")

_SERVING = frozenset({State.READY, State.DRAINING})

# Enough that a few slow predictions leave room for others; the interpreter's lock makes more of
# them useless for models that do not release it.
WORKER_THREADS = 4


class Inference:
    """Runs work with the model in worker threads, within the limits. Lives on the event loop."""

    def __init__(self, lifecycle: Lifecycle, limiter: Limiter) -> None:
        self.model: ServedModel | None = None  # set once, before the state becomes READY
        self._lifecycle = lifecycle
        self._limiter = limiter
        self._workers = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="predict")

    def serving(self) -> ServedModel:
        """The model, when requests may be answered.

        Raises:
            NotReady: there is none yet, or not any more.
        """
        if self.model is None or self._lifecycle.state not in _SERVING:
            raise NotReady(self._lifecycle.state)
        return self.model

    def admit(self) -> None:
        """Take a slot for one request, before its body is read; ``run`` gives it back.

        Raises:
            NotReady, Overloaded
        """
        self.serving()
        self._limiter.acquire()

    def abandon(self) -> None:
        """Give back the slot of a request that never came to ``run``."""
        self._limiter.release()

    async def run(
        self, work: Callable[[ServedModel], Result], deadline: float, limit: float
    ) -> Result:
        """``work`` with the model, in a worker thread, until ``deadline`` (the loop's time).

        A prediction cannot be interrupted: after a timeout it keeps its slot until it ends, so
        that a stuck model is seen as an overload and never as an unbounded pile of threads.

        Raises:
            PredictionTimeout: no result before the deadline; ``limit`` (seconds) is for its text.
            RequestError: whatever ``work`` raises.
        """
        loop = asyncio.get_running_loop()
        try:
            future = self._workers.submit(work, self.serving())
        except BaseException:
            self._limiter.release()
            raise
        future.add_done_callback(lambda _: self._release_from_thread(loop))
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise PredictionTimeout(limit) from None

    def _release_from_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
            loop.call_soon_threadsafe(self._limiter.release)

    def close(self) -> None:
        """Start no more work. Work that runs is left to end by itself."""
        self._workers.shutdown(wait=False, cancel_futures=True)
