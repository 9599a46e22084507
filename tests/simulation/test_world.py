"""The simulated world keeps the rules that the operator is tested against."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from serinus.ports import Conflict, Forbidden, NotFound

from .collector import terminate
from .faults import Faults, make, parse
from .faults.base import ARRIVES
from .loop import Process, VirtualLoop
from .people import NAMESPACE
from .store import Address, Store
from .traffic import binomial
from .world import Pace, World

AT = Address("httproutes", NAMESPACE, "r")


@pytest.fixture
def loop() -> Any:
    made = VirtualLoop()
    yield made
    made.discard()


@pytest.fixture
def store() -> Store:
    made = Store(lambda: 0.0)
    made.namespaces[NAMESPACE] = "Active"
    return made


def in_process(loop: VirtualLoop, process: Process, work: Coroutine[Any, Any, Any]) -> None:
    process.context.run(loop.create_task, work, context=process.context.copy())


def until(loop: VirtualLoop, seconds: float) -> None:
    loop.outside(seconds, loop.stop)
    loop.run_forever()


def ticking(seen: list[float], loop: VirtualLoop) -> Callable[[], Coroutine[Any, Any, None]]:
    async def tick() -> None:
        try:
            while True:
                await asyncio.sleep(1.0)
                seen.append(loop.time())
        finally:
            seen.append(-1.0)

    return tick


def test_time_jumps_and_timers_of_one_moment_run_in_their_order(loop: VirtualLoop) -> None:
    seen: list[int] = []
    for number in range(50):
        loop.outside(3600.0, seen.append, number)
    until(loop, 3600.0)
    assert seen == list(range(50))
    assert loop.time() == 3600.0


def test_a_dead_process_never_runs_again_not_even_its_finally_blocks(loop: VirtualLoop) -> None:
    process, seen = Process("p"), []
    in_process(loop, process, ticking(seen, loop)())
    until(loop, 2.5)
    process.dead = True
    until(loop, 100.0)
    assert seen == [1.0, 2.0]


def test_a_frozen_process_goes_on_later_where_it_was(loop: VirtualLoop) -> None:
    process, seen = Process("p"), []
    in_process(loop, process, ticking(seen, loop)())
    until(loop, 1.5)
    process.frozen = True
    until(loop, 8.0)
    assert seen == [1.0]
    loop.thaw(process)
    until(loop, 1.2)
    assert seen == [1.0, 9.5, 10.5]


def test_threads_are_an_error(loop: VirtualLoop) -> None:
    with pytest.raises(RuntimeError, match="one thread"):
        loop.run_in_executor(None, print)


def test_a_write_on_an_old_version_or_another_uid_is_a_conflict(store: Store) -> None:
    made = store.create(AT, {"spec": {"a": 1}})
    version = made["metadata"]["resourceVersion"]
    store.merge(AT, {"metadata": {"resourceVersion": version}, "spec": {"a": 2}})
    for meta in ({"resourceVersion": version}, {"uid": "another"}):
        with pytest.raises(Conflict):
            store.merge(AT, {"metadata": meta, "spec": {"a": 3}})
        with pytest.raises(Conflict):
            store.delete(AT, meta)


def test_a_write_that_changes_nothing_makes_no_version(store: Store) -> None:
    made = store.create(AT, {"spec": {"a": 1}})
    assert store.merge(AT, {"spec": {"a": 1}}) is made


def test_the_generation_follows_the_spec_and_the_status_is_apart(store: Store) -> None:
    store.create(AT, {"spec": {"a": 1}})
    told = store.merge(AT, {"spec": {"a": 9}, "status": {"b": 1}}, "status")
    assert (told["spec"], told["status"]) == ({"a": 1}, {"b": 1})
    changed = store.merge(AT, {"spec": {"a": 2}, "status": {"b": 2}})
    assert (changed["spec"], changed["status"]) == ({"a": 2}, {"b": 1})
    assert (told["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)


def test_what_was_read_never_changes(store: Store) -> None:
    before = store.create(AT, {"spec": {"a": {"b": 1}}})
    store.merge(AT, {"spec": {"a": {"b": 2}}})
    assert before["spec"] == {"a": {"b": 1}}


def test_a_lagging_replica_shows_the_past(store: Store) -> None:
    now = 0.0
    lagging = Store(lambda: now)
    lagging.namespaces[NAMESPACE] = "Active"
    lagging.create(AT, {"spec": {"a": 1}})
    now = 5.0
    lagging.merge(AT, {"spec": {"a": 2}})
    now = 9.0
    lagging.delete(AT, {})
    assert lagging.as_of(8.0).get(AT)["spec"] == {"a": 2}  # type: ignore[index]
    assert [o["spec"] for o in lagging.as_of(4.0).list("httproutes", None, {})] == [{"a": 1}]
    assert lagging.as_of(9.0).get(AT) is None


def test_nothing_is_made_in_a_namespace_that_ends_or_is_not_there(store: Store) -> None:
    store.namespaces[NAMESPACE] = "Terminating"
    with pytest.raises(Forbidden):
        store.create(AT, {})
    with pytest.raises(NotFound):
        store.create(Address("httproutes", "elsewhere", "r"), {})


def a_world(loop: VirtualLoop) -> World:
    world = World(1, Pace(), Faults(), loop)
    world.faults.begin(world)
    return world


def owned(uid: str) -> dict[str, Any]:
    return {"metadata": {"ownerReferences": [{"uid": uid, "kind": "X", "name": "x"}]}}


def test_what_an_object_owns_goes_after_it_and_an_orphan_goes_too(loop: VirtualLoop) -> None:
    world = a_world(loop)
    owner = world.store.create(AT, {})
    for name, uid in (("child", owner["metadata"]["uid"]), ("orphan", "nobody")):
        world.store.create(Address("secrets", NAMESPACE, name), owned(uid))
    until(loop, 5.0)
    assert [o["metadata"]["name"] for o in world.store.list("secrets", None, {})] == ["child"]
    world.store.delete(AT, {})
    until(loop, 5.0)
    assert not world.store.list("secrets", None, {})


def test_a_namespace_takes_everything_with_it(loop: VirtualLoop) -> None:
    world = a_world(loop)
    world.store.create(AT, {})
    world.store.create(Address("secrets", NAMESPACE, "s"), {})
    terminate(world, NAMESPACE)
    until(loop, 5.0)
    assert NAMESPACE not in world.store.namespaces
    assert not list(world.store.all())


@pytest.mark.parametrize(("n", "share"), [(40, 0.1), (400, 0.3), (400, 0.95)])
def test_requests_split_as_they_should(loop: VirtualLoop, n: int, share: float) -> None:
    rng = a_world(loop).rng
    counts = [binomial(rng, n, share) for _ in range(2000)]
    assert all(0 <= count <= n for count in counts)
    mean = sum(counts) / len(counts)
    assert abs(mean - n * share) < 5 * (n * share * (1 - share) / len(counts)) ** 0.5


def test_faults_are_the_same_for_the_same_seed() -> None:
    assert make("watch", 3).calm_at == make("watch", 3).calm_at
    assert make("storm", 3).calm_at != make("storm", 4).calm_at


def test_without_faults_every_event_arrives_once(loop: VirtualLoop) -> None:
    assert a_world(loop).faults.on_event(None, AT) == ARRIVES  # type: ignore[arg-type]


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="none of"):
        parse(["3:explode"])
