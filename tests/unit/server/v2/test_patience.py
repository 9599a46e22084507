"""Waits that share one timer."""

from __future__ import annotations

import asyncio

import pytest

from serinus_server.protocols.grpc.patience import Patience


async def test_what_comes_in_time_is_given() -> None:
    async def soon() -> int:
        await asyncio.sleep(0)
        return 7

    patience = Patience()
    now = asyncio.get_running_loop().time()
    assert await asyncio.gather(*(patience.wait(soon(), now + 10) for _ in range(3))) == [7] * 3


async def test_only_who_is_overdue_is_told_so() -> None:
    patience = Patience()
    now = asyncio.get_running_loop().time()
    never = asyncio.get_running_loop().create_future()
    late = asyncio.ensure_future(patience.wait(never, now))
    later = asyncio.get_running_loop().create_future()
    patient = asyncio.ensure_future(patience.wait(later, now + 60))
    with pytest.raises(TimeoutError):
        await late
    assert never.cancelled()
    assert not patient.done()
    later.set_result(1)
    assert await patient == 1


async def test_who_is_cancelled_by_others_is_cancelled() -> None:
    patience = Patience()
    never = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(patience.wait(never, asyncio.get_running_loop().time() + 60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_error_is_passed_on_and_the_task_may_go_on() -> None:
    async def fail() -> None:
        raise ValueError("no")

    patience = Patience()
    now = asyncio.get_running_loop().time()
    with pytest.raises(ValueError, match="no"):
        await patience.wait(fail(), now + 60)
    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.get_running_loop().create_future(), now)
    await asyncio.sleep(0)  # it is not cancelled any more
