"""What each kind of failure means for the next look at an object."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from serinus.app.telemetry import Telemetry
from serinus.app.worker import CONFLICTS_AT_ONCE, REFUSED_RETRY, Worker
from serinus.app.workqueue import WorkQueue
from serinus.core.observed import Defaults, NoData, Reading, ResolveFailed
from serinus.kube.fence import Deposed
from serinus.ports import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    SeriesQuery,
    Stale,
    TooManyRequests,
)
from serinus.reconcile.deps import Deps, Key

KEY = Key("ml", "churn")


class Queue(WorkQueue[Key]):
    """Remembers after how many seconds each key was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []
        self.finished = asyncio.Event()

    def done(self, key: Key) -> None:
        super().done(key)
        self.finished.set()

    def add(self, key: Key, after: float = 0.0) -> None:
        self.delays.append(after)
        super().add(key, after)


class Api:
    """Every read fails with ``error``, takes for ever, or finds that there is nothing."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.hangs = False
        self.reads = 0
        self.objects: list[dict[str, Any]] = []
        self.read = asyncio.Event()

    async def _answer(self) -> None:
        self.reads += 1
        self.read.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def get(self, ref: Any) -> None:
        await self._answer()

    async def list(self, kind: Any, namespace: Any, labels: Any) -> list[dict[str, Any]]:
        await self._answer()
        return self.objects


class Nothing:
    async def read(self, query: SeriesQuery) -> Reading:
        return NoData("nothing")

    async def resolve(self, uri: str) -> ResolveFailed:
        return ResolveFailed("Nothing", "nothing")

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.reset_defaults()
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture
async def api() -> Api:
    return Api()


@pytest.fixture
async def deps(api: Api) -> Deps:
    none = Nothing()
    return Deps(api, none, none, none, Defaults("image", None, timedelta(seconds=0.01)), "")


@pytest.fixture
async def queue() -> Queue:
    return Queue()


@pytest.fixture
async def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
async def worker(queue: Queue, deps: Deps, telemetry: Telemetry) -> Worker:
    return Worker(queue, deps, telemetry, deadline=0.02)


def refusals(count: int, kind: type = Invalid):
    for number in range(count):
        yield kind(422, "Invalid", f"denied by a webhook (request {number})")


@pytest.mark.parametrize("kind", [Invalid, Forbidden, NotFound])
async def test_only_the_first_refusal_looks_again_at_once_whatever_the_text(
    api, queue, worker, kind
) -> None:
    for error in refusals(4, kind):
        api.error = error
        await worker._once(KEY)
    assert queue.delays == [0, REFUSED_RETRY, REFUSED_RETRY, REFUSED_RETRY]


async def test_a_refusal_that_is_over_is_taken_back_and_the_next_one_told(
    api, queue, worker
) -> None:
    (api.error,) = refusals(1)
    await worker._once(KEY)
    refusal, api.error = api.error, None
    await worker._once(KEY)
    api.error = refusal
    await worker._once(KEY)
    assert queue.delays == [0, 0, 0]


async def test_some_conflicts_in_a_row_are_retried_at_once_and_then_they_back_off(
    api, queue, worker
) -> None:
    api.error = Conflict(409, "Conflict", "changed")
    for _ in range(CONFLICTS_AT_ONCE + 4):
        await worker._once(KEY)
    assert queue.delays == [0, 0, 0, 0.5, 1, 2, 4]
    api.error = None
    await worker._once(KEY)
    api.error = Conflict(409, "Conflict", "changed")
    await worker._once(KEY)
    assert queue.delays[7:] == [0]


async def test_a_view_older_than_our_write_is_looked_at_again_shortly_without_a_decision(
    api, queue, worker, telemetry
) -> None:
    api.error = Stale(0, "Stale", "as of 3, and we have written 5")
    with capture_logs():
        assert await worker._once(KEY) == "stale"
    assert queue.delays == [0.5]
    assert sample(telemetry, "retries_total", reason="stale") == 1


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_deposed_leaders_worker_ends_and_counts_no_crash(api, worker, grouped) -> None:
    deposed = Deposed("the Lease was not renewed in time")
    api.error = ExceptionGroup("writes", [deposed]) if grouped else deposed
    with pytest.raises((Deposed, ExceptionGroup)):
        await worker._once(KEY)


@pytest.mark.parametrize(("told", "waited"), [(0.0, 1.0), (0.2, 1.0), (7.0, 7.0)])
async def test_retry_after_is_at_least_a_second(api, queue, worker, told, waited) -> None:
    api.error = TooManyRequests(429, "TooManyRequests", "busy", told)
    await worker._once(KEY)
    assert queue.delays == [waited]


async def test_a_reconcile_that_takes_too_long_is_given_up_and_told(api, queue, worker) -> None:
    api.hangs = True
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            await worker._once(KEY)
            await worker._once(KEY)
    assert queue.delays == [0.5, 1]
    assert [line["event"] for line in logs] == ["the reconcile took too long and was given up"] * 2


async def test_how_every_reconcile_ended_is_counted(api, worker, queue, telemetry) -> None:
    queue.add(KEY)
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(queue.finished.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sample(telemetry, "reconciles_total", result="gone") == 1
    assert sample(telemetry, "reconcile_seconds_count") == 1


def sample(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(f"serinus_operator_{name}", labels)


async def test_a_worker_that_is_stuck_in_a_reconcile_is_trouble(api, queue, deps) -> None:
    now = 0.0
    telemetry = Telemetry(clock=lambda: now)
    worker = Worker(queue, deps, telemetry, deadline=3600)
    api.hangs = True
    queue.add(KEY)
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(api.read.wait(), 5)
    now = 110.0
    telemetry.lagged(0)
    assert telemetry.health.trouble(limit=1000) == ""
    now = 121.0
    assert telemetry.health.trouble(limit=1000) == "a worker has been in one reconcile for 121 s"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert telemetry.health.trouble(limit=1000) == ""
