"""Look-ups in the background: bounded in number, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from serinus.api.status import PinnedModel
from serinus.app.resolver import BackgroundRegistry
from serinus.core.observed import ResolveFailed


class SlowRegistry:
    """Answers each URI when its event is set; counts."""

    def __init__(self) -> None:
        self.ready: dict[str, asyncio.Event] = {}
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.error: Exception | None = None
        self.begun = asyncio.Event()

    def gate(self, uri: str) -> asyncio.Event:
        return self.ready.setdefault(uri, asyncio.Event())

    async def resolve(self, uri: str) -> PinnedModel | ResolveFailed:
        self.asked.append(uri)
        self.begun.set()
        try:
            await self.gate(uri).wait()
        except asyncio.CancelledError:
            self.cancelled.append(uri)
            raise
        if self.error is not None:
            raise self.error
        return pinned(uri)


def pinned(uri: str) -> PinnedModel:
    return PinnedModel(uri=uri, pinned_uri=uri, name="m", version="1", digest="")


@pytest.fixture
def slow() -> SlowRegistry:
    return SlowRegistry()


@pytest.fixture
async def background(slow: SlowRegistry) -> AsyncIterator[BackgroundRegistry]:
    registry = BackgroundRegistry(slow, limit=2, patience=0.01)
    yield registry
    await registry.close()


async def test_a_fast_answer_comes_at_once(slow, background) -> None:
    slow.gate("a").set()
    assert await background.resolve("a") == pinned("a")
    assert len(background) == 0


async def test_a_slow_look_up_goes_on_while_it_is_asked_for_once(slow, background) -> None:
    for _ in range(3):
        assert (await background.resolve("a")).reason == "Resolving"
    slow.gate("a").set()
    assert await background.resolve("a") == pinned("a")
    assert slow.asked == ["a"]


async def test_an_answer_is_handed_out_once_and_then_looked_up_anew(slow, background) -> None:
    slow.gate("a").set()
    await background.resolve("a")
    await background.resolve("a")
    assert slow.asked == ["a", "a"]


async def test_all_who_wait_get_the_answer(slow) -> None:
    background = BackgroundRegistry(slow, patience=30)
    waiting = [asyncio.create_task(background.resolve("a")) for _ in range(3)]
    await asyncio.sleep(0)
    slow.gate("a").set()
    assert await asyncio.gather(*waiting) == [pinned("a")] * 3
    assert slow.asked == ["a"]


async def test_a_caller_that_is_cancelled_takes_no_look_up_with_it(slow) -> None:
    background = BackgroundRegistry(slow, patience=30)
    waiting = asyncio.create_task(background.resolve("a"))
    await slow.begun.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slow.gate("a").set()
    assert await background.resolve("a") == pinned("a")
    assert slow.asked == ["a"]


async def test_more_than_the_limit_wait_for_their_turn(slow, background) -> None:
    for uri in "abc":
        await background.resolve(uri)
    assert slow.asked == ["a", "b"]
    slow.gate("a").set()
    slow.gate("c").set()
    assert await background.resolve("c") == pinned("c")


async def test_a_look_up_over_its_deadline_is_stopped_and_makes_room(slow) -> None:
    background = BackgroundRegistry(slow, limit=1, patience=30, deadline=0.02)
    first, second = await asyncio.gather(background.resolve("a"), background.resolve("b"))
    assert (first.reason, second.reason) == ("RegistryUnavailable", "RegistryUnavailable")
    assert "within 0.02 s" in first.message
    assert slow.cancelled == ["a", "b"]


async def test_what_nobody_asks_for_any_more_is_stopped_and_forgotten(slow) -> None:
    background = BackgroundRegistry(slow, patience=0.01, unasked=0.005)
    await background.resolve("a")
    await background.resolve("b")
    assert len(background) == 1
    assert slow.cancelled == ["a"]
    await background.close()


async def test_the_number_of_look_ups_is_bounded(slow) -> None:
    background = BackgroundRegistry(slow, patience=0.01, most=2)
    for uri in "abc":
        assert (await background.resolve(uri)).reason == "Resolving"
    assert len(background) == 2
    await background.close()


async def test_an_unexpected_error_reaches_who_asks(slow, background) -> None:
    slow.error = RuntimeError("broken")
    slow.gate("a").set()
    with pytest.raises(RuntimeError, match="broken"):
        await background.resolve("a")
    assert len(background) == 0


async def test_close_stops_every_look_up_and_frees_who_waits(slow) -> None:
    background = BackgroundRegistry(slow, patience=30)
    waiting = asyncio.create_task(background.resolve("a"))
    await slow.begun.wait()
    await background.close()
    assert slow.cancelled == ["a"]
    assert (await waiting).reason == "Resolving"
