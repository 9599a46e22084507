"""The work queue's promises."""

from __future__ import annotations

import asyncio

import pytest

from serinus.app.workqueue import BACKOFF_LAST, WorkQueue


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue()


async def taken(queue: WorkQueue[str], within: float = 0.05) -> str | None:
    try:
        async with asyncio.timeout(within):
            return await queue.take()
    except TimeoutError:
        return None


async def test_a_key_added_twice_is_taken_once(queue) -> None:
    queue.add("a")
    queue.add("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue) is None


async def test_two_workers_never_have_the_same_key(queue) -> None:
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("a")
    assert await taken(queue) is None
    queue.done("a")
    assert await taken(queue) == "a"


async def test_a_held_key_does_not_block_others(queue) -> None:
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("a")
    queue.add("b")
    assert await taken(queue) == "b"


async def test_the_earlier_of_two_times_holds(queue) -> None:
    queue.add("a", after=60)
    queue.add("a")
    queue.add("a", after=60)
    assert await taken(queue) == "a"


async def test_a_waiting_worker_wakes_for_a_new_key(queue) -> None:
    queue.add("later", after=60)
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add("now")
    assert await asyncio.wait_for(waiting, 1) == "now"


async def test_a_cancelled_worker_loses_no_key(queue) -> None:
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    queue.add("a")
    assert await taken(queue) == "a"


async def test_failures_back_off_and_success_forgets_them(queue) -> None:
    delays = [queue.failed("a") for _ in range(8)]
    assert delays == [0.5, 1, 2, 4, 8, 16, BACKOFF_LAST, BACKOFF_LAST]
    queue.succeeded("a")
    assert queue.failed("a") == 0.5


async def test_one_busy_key_does_not_keep_others_from_their_turn(queue) -> None:
    queue.add("busy")
    for number in range(20):
        queue.add(f"other-{number}")
    turns = []
    while "other-19" not in turns:
        key = await taken(queue)
        turns.append(key)
        queue.done(key)
        queue.add("busy")  # an event for each of its reconciles
    assert [key for key in turns if key != "busy"] == [f"other-{n}" for n in range(20)]
    assert turns.count("busy") <= 2


async def test_failures_of_one_key_are_none_of_another(queue) -> None:
    assert [queue.failed("a") for _ in range(3)] == [0.5, 1, 2]
    assert queue.failed("b") == 0.5


async def test_depth_tells_what_is_due_and_for_how_long(queue) -> None:
    assert queue.depth() == (0, 0)
    queue.add("later", after=60)
    assert queue.depth() == (0, 0)
    queue.add("a")
    queue.add("b")
    count, waited = queue.depth()
    assert count == 2
    assert 0 <= waited < 1


async def turns(queue: WorkQueue[str], count: int) -> list[str]:
    out = []
    for _ in range(count):
        key = await taken(queue)
        assert key is not None
        queue.done(key)
        out.append(key)
    return out


async def test_a_rollout_goes_before_a_thousand_objects_at_rest(queue) -> None:
    for number in range(1000):
        queue.add(f"rest-{number}")
    queue.prefer("canary", preferred=True)
    queue.add("canary")
    assert await turns(queue, 2) == ["canary", "rest-0"]


async def test_rollouts_leave_every_fourth_turn_to_the_others(queue) -> None:
    for name in "abcdefgh":
        queue.prefer(name, preferred=True)
        queue.add(name)
    queue.add("rest-1")
    queue.add("rest-2")
    expected = ["a", "b", "c", "rest-1", "d", "e", "f", "rest-2", "g", "h"]
    assert await turns(queue, 10) == expected


async def test_preference_that_changes_while_a_key_waits_moves_it_and_doubles_nothing(
    queue,
) -> None:
    queue.add("a")
    queue.add("b")
    queue.prefer("b", preferred=True)
    queue.prefer("a", preferred=True)
    queue.prefer("a", preferred=False)
    assert await turns(queue, 2) == ["b", "a"]
    assert await taken(queue) is None
    assert len(queue) == 0


async def test_a_preferred_key_that_a_worker_has_keeps_nobody_waiting(queue) -> None:
    queue.prefer("a", preferred=True)
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("a")
    queue.add("b")
    assert await taken(queue) == "b"
    queue.done("a")
    assert await taken(queue) == "a"


async def test_a_preferred_key_waits_for_its_time_all_the_same(queue) -> None:
    queue.prefer("a", preferred=True)
    queue.add("a", after=60)
    queue.add("b")
    assert await turns(queue, 1) == ["b"]
    assert await taken(queue) is None
