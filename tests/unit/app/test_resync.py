"""The resync: whose turn is when, and what becomes of events that were lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from virtual import run

from serinus.app.resync import RETRY, add, key_of, resync, slot
from serinus.app.telemetry import Telemetry
from serinus.app.workqueue import WorkQueue
from serinus.core.observed import Defaults, NoData, Reading, ResolveFailed
from serinus.ports import ApiError, NotFound, SeriesQuery, Unreachable
from serinus.reconcile.deps import Deps, Key

INTERVAL = 30.0


class Api:
    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.error: ApiError | None = None
        self.namespaces: list[str | None] = []
        self.at: list[float] = []

    async def list(self, kind: Any, namespace: Any, labels: Any) -> list[dict[str, Any]]:
        self.namespaces.append(namespace)
        self.at.append(asyncio.get_running_loop().time())
        if self.error is not None:
            raise self.error
        return list(self.objects)


class Nothing:
    async def read(self, query: SeriesQuery) -> Reading:
        return NoData("nothing")

    async def resolve(self, uri: str) -> ResolveFailed:
        return ResolveFailed("Nothing", "nothing")

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def resource(name: str, version: int = 1, generation: int = 1, **status: Any) -> dict[str, Any]:
    meta = {
        "namespace": "ml",
        "name": name,
        "resourceVersion": str(version),
        "generation": generation,
    }
    return {"metadata": meta, "status": {"observedGeneration": 1, **status}}


class World:
    def __init__(self) -> None:
        self.api = Api()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.telemetry = Telemetry()
        none = Nothing()
        defaults = Defaults("image", None, timedelta(seconds=INTERVAL))
        self.deps = Deps(self.api, none, none, none, defaults, "")
        self.seen: list[list[str]] = []

    def start(self, *namespaces: str) -> asyncio.Task[Any]:
        def seen(items: Any) -> None:
            self.seen.append([item["metadata"]["name"] for item in items])

        coro = resync(self.queue, self.deps, namespaces, self.telemetry, seen)
        return asyncio.create_task(coro)

    async def turns(self, seconds: float) -> dict[str, list[float]]:
        """When each object has its turns, of the next seconds."""
        out: dict[str, list[float]] = {}
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            try:
                key = await asyncio.wait_for(self.queue.take(), left)
            except TimeoutError:
                break
            self.queue.done(key)
            out.setdefault(key.name, []).append(loop.time())
        return out


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.reset_defaults()


def scenario(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    async def made() -> None:
        await test(World())

    def sync() -> None:
        with capture_logs():
            run(made())

    sync.__name__ = test.__name__
    return sync


@scenario
async def test_a_thousand_objects_at_rest_are_spread_over_the_interval(w) -> None:
    w.api.objects = [resource(f"m{i}") for i in range(1000)]
    task = w.start()
    turns = sorted(at for times in (await w.turns(INTERVAL)).values() for at in times)
    assert len(turns) == 1000
    busiest = max(sum(s <= at < s + 1 for at in turns) for s in range(int(INTERVAL)))
    assert busiest < 3 * 1000 / INTERVAL
    task.cancel()


@scenario
async def test_an_object_at_rest_has_its_turn_once_per_interval_at_the_same_place(w) -> None:
    w.api.objects = [resource(f"m{i}") for i in range(20)]
    task = w.start()
    turns = await w.turns(10 * INTERVAL)
    for name, times in turns.items():
        assert len(times) == 10, name
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert gaps == pytest.approx([INTERVAL] * 9)
    task.cancel()


@scenario
async def test_rollouts_and_specs_that_were_not_acted_on_come_first(w) -> None:
    quiet = [resource(f"m{i}") for i in range(50)]
    w.api.objects = [*quiet, resource("new", generation=2), resource("canary", rollout={"step": 0})]
    task = w.start()
    first = [(await w.queue.take()).name for _ in range(2)]
    assert first == ["canary", "new"]
    assert asyncio.get_running_loop().time() == 0
    task.cancel()


@scenario
async def test_an_object_that_changed_since_the_last_listing_has_its_turn_at_once(w) -> None:
    """Its event was lost: at most one interval until it is acted on."""
    name = max((f"m{i}" for i in range(100)), key=lambda n: slot(Key("ml", n)))
    w.api.objects = [resource(name)]
    task = w.start()
    await asyncio.sleep(1)
    w.api.objects = [resource(name, version=2)]
    await w.turns(INTERVAL - 1)
    turns = await w.turns(1)
    assert turns[name][0] == pytest.approx(INTERVAL)
    task.cancel()


@scenario
async def test_an_object_that_is_gone_has_one_last_turn(w) -> None:
    w.api.objects = [resource("a")]
    task = w.start()
    await w.turns(INTERVAL - 1)
    w.api.objects = []
    turns = await w.turns(3 * INTERVAL)
    assert len(turns["a"]) == 1
    task.cancel()


@scenario
async def test_every_listing_is_handed_over_whole(w) -> None:
    w.api.objects = [resource("a"), resource("b")]
    task = w.start("one", "two")
    await asyncio.sleep(1)
    assert w.api.namespaces == ["one", "two"]
    assert w.seen == [["a", "b", "a", "b"]]
    task.cancel()


@scenario
async def test_a_listing_that_failed_is_tried_again_soon_and_hands_nothing_over(w) -> None:
    w.api.error = Unreachable(0, "Unreachable", "away")
    task = w.start()
    await asyncio.sleep(3 * RETRY + 1)
    assert w.api.at == [0, RETRY, 2 * RETRY, 3 * RETRY]
    assert w.seen == []
    assert w.telemetry.health.unready() != ""
    w.api.error = None
    await asyncio.sleep(RETRY)
    assert w.telemetry.health.unready() == ""
    task.cancel()


def test_a_missing_crd_is_told_once_and_is_no_reason_for_a_restart() -> None:
    async def main() -> None:
        world = World()
        world.telemetry.health.begun()
        world.api.error = NotFound(404, "NotFound", "no such kind")
        task = world.start()
        await asyncio.sleep(20 * RETRY)
        world.telemetry.lagged(0)
        assert world.telemetry.health.trouble(limit=3 * RETRY) == ""
        task.cancel()

    with capture_logs() as logs:
        run(main())
    told = [line["event"] for line in logs]
    assert told == ["the resync finds no CRD modeldeployments.serinus.dev"]


def test_the_order_does_not_depend_on_the_order_of_the_listing() -> None:
    items = [resource(f"m{i}", rollout={"step": 0}) for i in range(20)]

    async def order(listed: list[dict[str, Any]]) -> list[Key]:
        queue: WorkQueue[Key] = WorkQueue()
        add(queue, listed, None, INTERVAL)
        return [await queue.take() for _ in listed]

    first = run(order(items))
    assert run(order(items[::-1])) == first == sorted(map(key_of, items), key=str)
