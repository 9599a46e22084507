"""The data plane: lets a request to the model, or says why not. The same for every protocol.

Requests that come in one turn of the event loop, or while the model is busy, are asked together
where the model allows it. A request that is alone waits for nobody. All of it lives on the event
loop and tells results by callbacks; a task for each request would cost more than many models.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, TypeAlias

import structlog

from serinus_server.errors import NotReady, PredictionFailed, PredictionTimeout, RequestError
from serinus_server.service.batching import key_of
from serinus_server.service.lifecycle import Lifecycle, State
from serinus_server.service.limiter import Limiter
from serinus_server.service.model import Outcome, ServedModel
from serinus_server.service.payload import Payload, Prediction
from serinus_server.service.placement import Placement
from serinus_server.service.workers import Workers
from serinus_server.telemetry.seen import ModelCall

_log = structlog.stdlib.get_logger(__name__)

_SERVING = frozenset({State.READY, State.DRAINING})

# Calls in threads at once. Enough that a few slow predictions leave room for others; the
# interpreter's lock makes more of them useless for models that do not release it. Models that
# take batches get one per processor, so that the batches grow instead.
SMALL_WORKERS = 4
# Large requests have threads of their own, so that small ones never wait behind them.
LARGE_WORKERS = 2
DEFAULT_BATCH_ROWS = 64

# Seconds of model calls on the event loop before it looks at its sockets again.
_TURN = 0.001

Done: TypeAlias = Callable[[Any], None]


class Job:
    """One question on its way through the model. Holds a slot of the limiter until it ends."""

    __slots__ = (
        "call", "done", "key", "limit", "model_input", "over", "params", "rows", "timer", "work",
    )  # fmt: skip

    def __init__(self, done: Done, limit: float) -> None:
        self.done = done
        self.limit = limit  # seconds, for the error's text
        self.over = False  # whether `done` was called, or nobody waits for it any more
        self.timer: asyncio.TimerHandle | None = None
        self.model_input: Any = None
        self.rows = 0
        self.params: Mapping[str, Any] | None = None
        self.key: Hashable | None = None  # jobs with equal keys may be asked together
        self.work: Callable[[], Any] | None = None  # of a large job: does everything
        self.call: ModelCall | None = None  # the one that answered it, where calls are timed


class Inference:
    """Runs requests through the model, within the limits. Lives on the event loop.

    A prediction cannot be interrupted: after a timeout it keeps its slot until it ends, so that a
    stuck model is seen as an overload and never as an unbounded pile of threads.
    """

    def __init__(
        self, lifecycle: Lifecycle, limiter: Limiter, batch_rows: int = DEFAULT_BATCH_ROWS
    ) -> None:
        self._model: ServedModel | None = None
        self._lifecycle = lifecycle
        self._limiter = limiter
        self._batch_rows = batch_rows
        self._small_rows = max(batch_rows, DEFAULT_BATCH_ROWS)
        self._loop: asyncio.AbstractEventLoop
        self._workers: Workers | None = None
        self._placement = Placement(0)
        self._small: deque[Job] = deque()
        self._large: deque[Job] = deque()
        self._small_free = SMALL_WORKERS
        self._large_free = LARGE_WORKERS
        self._flushing = False  # whether `_flush` is to be called in the next turn
        self.timed = False  # whether somebody wants to know of jobs' calls of the model

    def open(self, model: ServedModel) -> None:
        """Serve ``model``; called once on the event loop, before the state becomes READY."""
        self._loop = asyncio.get_running_loop()
        if model.batches and self._batch_rows > 1:
            self._small_free = min(SMALL_WORKERS, len(os.sched_getaffinity(0)))
        self._workers = Workers(self._small_free + LARGE_WORKERS, self._loop)
        self._placement = Placement(model.runtime.quick_rows)
        self._model = model

    def close(self) -> None:
        """Start no more work. Work that runs is left to end by itself."""
        if self._workers is not None:
            self._workers.close()

    @property
    def draining(self) -> bool:
        """Whether clients should go to another server."""
        return self._lifecycle.state is State.DRAINING

    def serving(self) -> ServedModel:
        """The model, when requests may be answered.

        Raises:
            NotReady: there is none yet, or not any more.
        """
        if self._model is None or self._lifecycle.state not in _SERVING:
            raise NotReady(self._lifecycle.state)
        return self._model

    def admit(self) -> ServedModel:
        """Take a slot for one request, before its body is read; ``submit`` and ``offload`` own it then.

        Raises:
            NotReady, Overloaded
        """
        model = self.serving()
        self._limiter.acquire()
        return model

    def is_large(self, rows: int, params: Mapping[str, Any] | None = None) -> bool:
        """Whether a request is to be offloaded, not submitted: it would hold up small ones.

        Fast runtimes leave ``params`` to MLflow, which is nothing for the event loop.
        """
        if self._placement.on_loop:
            return rows > self._placement.quick_rows or bool(params)
        return rows > self._small_rows

    def abandon(self) -> None:
        """Give back the slot of a request that was never submitted."""
        self._limiter.release()

    def submit(
        self,
        model_input: Any,
        rows: int,
        params: Mapping[str, Any] | None,
        deadline: float,
        limit: float,
        done: Callable[[Outcome], None],
    ) -> Job:
        """Ask the model for what ``ServedModel.bind`` made, and call ``done`` once with the outcome.

        Never calls ``done``, which must not raise, before it returns. ``deadline`` is the loop's
        time, and ``limit`` the seconds that it stands for.
        """
        job = Job(done, limit)
        job.rows = rows
        job.model_input = model_input
        job.params = params
        if not params:
            job.key = key_of(model_input)
        if not self._placement.on_loop:
            job.timer = self._loop.call_at(deadline, self._expire, job)
        self._small.append(job)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return job

    def offload(
        self,
        work: Callable[[ServedModel], Any],
        deadline: float,
        limit: float,
        done: Done,
    ) -> Job:
        """``done`` with the result of ``work(model)``, called in a thread, or with its error.

        For large requests, whose decoding alone would hold up the event loop. A RequestError that
        ``work`` raises is given to ``done``; all others are logged, and become PredictionFailed.
        """
        model = self._model
        assert model is not None  # noqa: S101 - it was admitted
        job = Job(done, limit)
        job.work = partial(work, model)
        job.timer = self._loop.call_at(deadline, self._expire, job)
        self._large.append(job)
        self._dispatch_large()
        return job

    def withdraw(self, job: Job) -> None:
        """Nobody waits for ``job`` any more: ``done`` is not called, nor the model if there is time."""
        if job.over:
            return
        job.over = True
        if job.timer is not None:
            job.timer.cancel()
        queue = self._small if job.work is None else self._large
        if job in queue:
            queue.remove(job)
            self._limiter.release()

    async def ask(
        self,
        payload: Payload,
        params: Mapping[str, Any] | None,
        deadline: float,
        limit: float,
        follow: Callable[[Job], None] = lambda _job: None,
    ) -> Prediction:
        """The model's answer, for coroutines; after ``admit``, and the slot is given back.

        ``follow`` is told the job, before it is asked.

        Raises:
            InvalidInput, PredictionFailed, PredictionTimeout
        """
        try:
            model = self.serving()
            model_input, rows = model.bind(payload, params)
        except BaseException:
            self.abandon()
            raise
        found = asyncio.get_running_loop().create_future()
        done = partial(_resolve, found)
        if self.is_large(rows, params):
            job = self.offload(
                lambda model: model.ask(model_input, rows, params), deadline, limit, done
            )
        else:
            job = self.submit(model_input, rows, params, deadline, limit, done)
        job.rows = rows
        follow(job)
        prediction: Prediction = await self._wait(found, job)
        return prediction

    async def run(self, work: Callable[[ServedModel], Any], deadline: float, limit: float) -> Any:
        """``work`` with the model in a thread, for coroutines; after ``admit``, as ``ask``."""
        found = asyncio.get_running_loop().create_future()
        return await self._wait(
            found, self.offload(work, deadline, limit, partial(_resolve, found))
        )

    async def _wait(self, found: asyncio.Future[Any], job: Job) -> Any:
        try:
            outcome = await found
        except asyncio.CancelledError:
            self.withdraw(job)
            raise
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    def _flush(self) -> None:
        """Ask what has come in since the last turn."""
        self._flushing = False
        if not self._placement.on_loop:
            self._dispatch_small()
            return
        spent = 0.0
        while self._small and spent < _TURN and self._placement.on_loop:
            spent += self._ask_here(self._take_batch())
        if self._small:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _ask_here(self, batch: list[Job]) -> float:
        placement = self._placement
        placement.begin()
        outcomes = self._ask(batch)
        seconds = placement.end()
        if not placement.on_loop:
            _log.info("the model is slow: from now on it is called in threads")
            for job in self._small:  # they were to be answered in this turn, by no deadline
                job.timer = self._loop.call_later(job.limit, self._expire, job)
        self._finish(batch, outcomes)
        return seconds

    def _dispatch_small(self) -> None:
        assert self._workers is not None  # noqa: S101
        while self._small and self._small_free:
            batch = self._take_batch()
            self._small_free -= 1
            self._workers.run(partial(self._ask, batch), partial(self._small_done, batch))

    def _dispatch_large(self) -> None:
        assert self._workers is not None  # noqa: S101
        while self._large and self._large_free:
            job = self._large.popleft()
            assert job.work is not None  # noqa: S101
            self._large_free -= 1
            self._workers.run(partial(_work, job.work), partial(self._large_done, job))

    def _small_done(self, batch: list[Job], outcomes: list[Outcome]) -> None:
        self._small_free += 1
        self._finish(batch, outcomes)
        self._dispatch_small()

    def _large_done(self, job: Job, outcome: Any) -> None:
        self._large_free += 1
        self._finish([job], [outcome])
        self._dispatch_large()

    def _take_batch(self) -> list[Job]:
        """The next jobs that may be asked together, in their order."""
        jobs = self._small
        first = jobs.popleft()
        batch = [first]
        rows = first.rows
        if first.key is None or not self._batches():
            return batch
        most = self._batch_rows
        if self._placement.on_loop:
            most = min(most, self._placement.quick_rows)
        passed_over: list[Job] = []
        while jobs and rows < most:
            job = jobs.popleft()
            if job.key == first.key and rows + job.rows <= most:
                batch.append(job)
                rows += job.rows
            else:
                passed_over.append(job)
        jobs.extendleft(reversed(passed_over))
        return batch

    def _batches(self) -> bool:
        return self._model is not None and self._model.batches and self._batch_rows > 1

    def _ask(self, batch: list[Job]) -> list[Outcome]:
        """The model's answers; on the event loop or in a thread."""
        if not self.timed:
            return self._outcomes(batch)
        begin = time.perf_counter()
        outcomes = self._outcomes(batch)
        rows = sum(job.rows for job in batch)
        call = ModelCall(begin, time.perf_counter(), rows, len(batch))
        for job in batch:
            job.call = call
        return outcomes

    def _outcomes(self, batch: list[Job]) -> list[Outcome]:
        model = self._model
        assert model is not None  # noqa: S101
        try:
            if len(batch) > 1:
                return model.ask_together(
                    [job.model_input for job in batch], [job.rows for job in batch]
                )
            (job,) = batch
            return [model.ask_alone(job.model_input, job.rows, job.params)]
        except Exception:  # noqa: BLE001 - a mistake of ours must not stop the queue
            return [unexpected() for _ in batch]

    def _finish(self, batch: list[Job], outcomes: list[Any]) -> None:
        for job, outcome in zip(batch, outcomes, strict=True):
            self._limiter.release()
            job.model_input = job.work = None
            if not job.over:
                job.over = True
                if job.timer is not None:
                    job.timer.cancel()
                try:
                    job.done(outcome)
                except Exception:  # noqa: BLE001 - a mistake of ours costs no neighbour's answer
                    _log.exception("an answer was lost")

    def _expire(self, job: Job) -> None:
        if not job.over:
            self.withdraw(job)
            job.done(PredictionTimeout(job.limit))


def _work(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except RequestError as error:
        return error
    except Exception:  # noqa: BLE001 - an answer that has no JSON form, or a mistake of ours
        return unexpected()


def unexpected() -> PredictionFailed:
    """The error for the client when something failed that should not; the log has all of it."""
    error_id = secrets.token_hex(6)
    _log.exception("request failed", error_id=error_id)
    return PredictionFailed(error_id)


def _resolve(found: asyncio.Future[Any], outcome: Any) -> None:
    if not found.done():
        found.set_result(outcome)
