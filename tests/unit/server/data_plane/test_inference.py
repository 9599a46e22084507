"""Who is asked together with whom, where, and what happens when it goes wrong."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import structlog.testing

from serinus_server.errors import (
    InvalidInput,
    Overloaded,
    PredictionFailed,
    PredictionTimeout,
    RequestError,
)
from serinus_server.runtimes.base import Signature, Tensor
from serinus_server.service.inference import Inference
from serinus_server.service.lifecycle import Event, Lifecycle
from serinus_server.service.limiter import Limiter
from serinus_server.service.model import Identity, ServedModel
from serinus_server.service.payload import Array

LIMIT = 5.0


class Plane:
    """A data plane that is open, and what it has told."""

    def __init__(self, runtime: Any, batch_rows: int, limit: int) -> None:
        lifecycle = Lifecycle()
        for event in (Event.LOAD, Event.LOADED, Event.WARMED):
            lifecycle.apply(event)
        self.calls: list[int] = []  # rows of every call that was answered
        self.limiter = Limiter(limit)
        self.inference = Inference(lifecycle, self.limiter, batch_rows)
        self.inference.open(ServedModel(runtime, Identity("m", "1", "r"), self.calls.append))

    async def ask(self, rows: Any, params: Any = None, seconds: float = LIMIT) -> Any:
        """The model's answer to ``rows``, or the error."""
        self.inference.admit()
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            found = await self.inference.ask(Array(rows), params, deadline, seconds)
        except RequestError as error:
            return error
        assert found.rows == len(rows)
        return found.values

    async def ask_all(self, *inputs: Any) -> list[Any]:
        """The same for requests that come at once."""
        async with asyncio.timeout(10):
            return await asyncio.gather(*(self.ask(rows) for rows in inputs))


Open = Callable[..., Any]


@pytest.fixture
def plane() -> Open:
    @asynccontextmanager
    async def run(runtime: Any, batch_rows: int = 64, limit: int = 256) -> AsyncIterator[Plane]:
        opened = Plane(runtime, batch_rows, limit)
        try:
            yield opened
            assert opened.limiter.used == 0  # every slot came back
        finally:
            opened.inference.close()

    return run


def row(*values: float) -> Any:
    return np.array([values])


@pytest.mark.parametrize("quick", [True, False])
async def test_requests_of_one_turn_are_asked_in_one_call_and_each_gets_its_own_answer(
    plane: Any, row_wise: Any, *, quick: bool
) -> None:
    model = row_wise(quick=quick)
    async with plane(model) as data:
        inputs = [np.full((1 + n % 3, 4), float(n)) for n in range(20)]
        answers = await data.ask_all(*inputs)
        for rows, answer in zip(inputs, answers, strict=True):
            np.testing.assert_array_equal(answer, rows * 2)
        assert len(model.asked) == 1
        assert data.calls == [sum(len(rows) for rows in inputs)]


async def test_a_lone_request_is_asked_in_the_next_turn_of_the_loop(
    plane: Any, row_wise: Any
) -> None:
    model = row_wise()
    async with plane(model) as data:
        data.inference.admit()
        told: list[Any] = []
        deadline = asyncio.get_running_loop().time() + LIMIT
        data.inference.submit(row(1.0), 1, None, deadline, LIMIT, told.append)
        assert told == []  # never before submit has returned
        await asyncio.sleep(0)
        assert len(told) == 1


async def test_quick_models_are_called_on_the_event_loop_and_others_in_threads(
    plane: Any, row_wise: Any
) -> None:
    for quick in (True, False):
        threads: set[threading.Thread] = set()

        def answer(rows: Any, threads: set[threading.Thread] = threads) -> Any:
            threads.add(threading.current_thread())
            return rows

        async with plane(row_wise(quick=quick, answer=answer)) as data:
            await data.ask(row(1.0))
            assert (threads == {threading.current_thread()}) is quick


async def test_the_event_loop_asks_for_no_more_rows_than_were_quick(
    plane: Any, row_wise: Any
) -> None:
    threads = {}

    def answer(rows: Any) -> Any:
        threads[len(rows)] = threading.current_thread() is threading.main_thread()
        return rows * 2

    model = row_wise(quick_rows=4, answer=answer)
    async with plane(model) as data:
        await asyncio.gather(*(data.ask(row(float(number))) for number in range(10)))
        assert model.rows == [4, 4, 2]
        await data.ask(np.ones((5, 1)))
    assert threads == {4: True, 2: True, 5: False}


async def test_a_quick_model_that_turns_slow_leaves_the_loop_for_good(
    plane: Any, row_wise: Any
) -> None:
    threads: list[bool] = []

    def compute(rows: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        begin = time.thread_time()
        while len(threads) == 1 and time.thread_time() - begin < 0.03:
            sum(range(1000))
        return rows

    async with plane(row_wise(answer=compute)) as data:
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                await data.ask(row(1.0))
        assert threads == [True, False, False]
        assert [entry["event"] for entry in logs].count(
            "the model is slow: from now on it is called in threads"
        ) == 1


async def test_who_waits_while_a_quick_model_turns_slow_is_told_of_his_timeout(
    plane: Any, row_wise: Any, gate: Any
) -> None:
    def turn_slow(rows: Any) -> Any:
        if rows[0, 0] == 1:
            begin = time.thread_time()
            while time.thread_time() - begin < 0.03:
                sum(range(1000))
        else:
            gate.predict(rows)
        return rows

    async with plane(row_wise(answer=turn_slow), batch_rows=1) as data:
        slow, waiting = await asyncio.gather(data.ask(row(1.0)), data.ask(row(2.0), seconds=0.05))
        np.testing.assert_array_equal(slow, row(1.0))
        assert isinstance(waiting, PredictionTimeout)
        gate.open.set()
        async with asyncio.timeout(5):
            while data.limiter.used:  # noqa: ASYNC110 - its value is not ours to signal
                await asyncio.sleep(0.001)


async def test_kinds_that_wait_for_each_other_keep_their_order(plane: Any, row_wise: Any) -> None:
    model = row_wise()
    async with plane(model) as data:
        await data.ask_all(
            *(np.full((1, width), float(n)) for n, width in enumerate([1, 2, 3, 2, 4, 3, 1]))
        )
        assert [asked[:, 0].tolist() for asked in model.asked] == [[0, 6], [1, 3], [2, 5], [4]]


async def test_different_shapes_dtypes_and_requests_with_params_are_never_mixed(
    plane: Any, row_wise: Any
) -> None:
    signature = Signature((Tensor(None, np.dtype("f8"), (-1, -1)),), params=("limit",))
    model = row_wise(signature=signature)
    async with plane(model) as data:
        inputs = [np.full((1, width), float(n)) for n in range(6) for width in (2, 3)]
        with_params = asyncio.gather(*(data.ask(row(1.0, 2.0), {"limit": n}) for n in range(3)))
        answers = await data.ask_all(*inputs)
        await with_params
        for rows, answer in zip(inputs, answers, strict=True):
            np.testing.assert_array_equal(answer, rows * 2)
        assert sorted(asked.shape for asked in model.asked) == [(1, 2)] * 3 + [(6, 2), (6, 3)]
        assert model.calls_with_params == 3


@pytest.mark.parametrize("quick", [True, False])
async def test_a_bad_row_fails_alone(plane: Any, row_wise: Any, *, quick: bool) -> None:
    model = row_wise(quick=quick)
    async with plane(model) as data:
        with structlog.testing.capture_logs() as logs:
            answers = await data.ask_all(*(row(-1.0 if n in (5, 40) else n) for n in range(64)))
        for number, answer in enumerate(answers):
            if number in (5, 40):
                assert isinstance(answer, PredictionFailed)
            else:
                np.testing.assert_array_equal(answer, row(2.0 * number))
        assert len([entry for entry in logs if entry["log_level"] == "error"]) == 2
        assert len(model.asked) < 30  # halves, not one by one
        assert sum(data.calls) == 62  # rows are counted once, and only where they were answered


async def test_an_answer_without_a_row_for_each_is_asked_one_by_one_and_ends_batching(
    plane: Any, row_wise: Any
) -> None:
    model = row_wise(answer=lambda rows: rows.sum(axis=0, keepdims=True))
    async with plane(model) as data:
        for _ in range(2):
            answers = await data.ask_all(*(row(float(n)) for n in range(3)))
            np.testing.assert_array_equal(np.concatenate(answers), [[0.0], [1.0], [2.0]])
        assert model.rows == [3, 1, 1, 1, 1, 1, 1]
        assert data.calls == [1] * 6


@pytest.mark.parametrize("batch_rows", [1, 2, 5])
async def test_no_call_has_more_rows_than_the_bound_but_for_a_request_that_has(
    plane: Any, row_wise: Any, batch_rows: int
) -> None:
    model = row_wise()
    async with plane(model, batch_rows) as data:
        inputs = [np.full((1 + n % 2, 1), float(n)) for n in range(10)] + [np.ones((7, 1))]
        for rows, answer in zip(inputs, await data.ask_all(*inputs), strict=True):
            np.testing.assert_array_equal(answer, rows * 2)
        assert all(count <= max(batch_rows, 2) or count == 7 for count in model.rows)
        assert sum(model.rows) == sum(len(rows) for rows in inputs)
        assert (len(model.rows) == len(inputs)) is (batch_rows == 1)


@pytest.mark.parametrize("quick", [True, False])
async def test_models_that_are_not_row_wise_are_asked_one_by_one(
    plane: Any, row_wise: Any, *, quick: bool
) -> None:
    model = row_wise(row_wise=False, quick=quick)
    async with plane(model) as data:
        await data.ask_all(*(row(float(n)) for n in range(10)))
        assert model.rows == [1] * 10


async def test_a_fixed_number_of_rows_in_the_signature_is_respected(
    plane: Any, row_wise: Any
) -> None:
    model = row_wise(signature=Signature((Tensor(None, np.dtype("f8"), (1, 1)),)))
    async with plane(model) as data:
        await data.ask_all(*(row(float(n)) for n in range(5)))
        assert model.rows == [1] * 5


async def test_a_model_that_answers_several_requests_exactly_is_told_their_sizes(
    plane: Any, row_wise: Any
) -> None:
    asked: list[Any] = []

    def parts(stacked: Any, sizes: Any) -> Any:
        asked.append(list(sizes))
        return stacked * 2

    async with plane(row_wise(row_wise=False, predict_parts=parts)) as data:
        answers = await data.ask_all(np.ones((2, 1)), np.zeros((1, 1)))
        np.testing.assert_array_equal(answers[0], np.full((2, 1), 2.0))
        np.testing.assert_array_equal(answers[1], [[0.0]])
        assert asked == [[2, 1]]


async def test_what_comes_while_the_model_is_busy_is_asked_together_afterwards(
    plane: Any, row_wise: Any, gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})  # one processor: one call at once
    model = row_wise(quick=False)
    model.gate = gate
    async with plane(model) as data:
        first = asyncio.create_task(data.ask(row(0.0)))
        await asyncio.to_thread(gate.entered.acquire)
        others = [asyncio.create_task(data.ask(row(float(n)))) for n in range(1, 9)]
        await asyncio.sleep(0)
        gate.open.set()
        for number, task in enumerate([first, *others]):
            np.testing.assert_array_equal(await task, row(2.0 * number))
        assert model.rows == [1, 8]


async def test_large_requests_do_not_hold_up_small_ones(
    plane: Any, row_wise: Any, gate: Any
) -> None:
    for quick in (True, False):
        gate.open.clear()
        model = row_wise(quick=quick)
        async with plane(model) as data:
            model.gate = gate
            large = [asyncio.create_task(data.ask(np.ones((100, 1)))) for _ in range(5)]
            await asyncio.to_thread(gate.entered.acquire)
            await asyncio.to_thread(gate.entered.acquire)
            model.gate = None  # for those that come now
            np.testing.assert_array_equal(await data.ask(row(1.0)), row(2.0))
            gate.open.set()
            for task in large:
                np.testing.assert_array_equal(await task, np.full((100, 1), 2.0))


async def test_a_timeout_is_told_and_the_slot_comes_back_when_the_model_does(
    plane: Any, row_wise: Any, gate: Any
) -> None:
    model = row_wise(quick=False)
    model.gate = gate
    async with plane(model, limit=1) as data:
        answer = await data.ask(row(1.0), seconds=0.02)
        assert isinstance(answer, PredictionTimeout)
        assert "0.02 s" in str(answer)
        with pytest.raises(Overloaded):
            data.inference.admit()
        gate.open.set()
        async with asyncio.timeout(5):
            while data.limiter.used:  # noqa: ASYNC110 - its value is not ours to signal
                await asyncio.sleep(0.001)
        model.gate = None
        np.testing.assert_array_equal(await data.ask(row(1.0)), row(2.0))


@pytest.mark.parametrize("rows", [1, 100])
async def test_who_times_out_or_gives_up_in_the_queue_is_never_asked(
    plane: Any, row_wise: Any, gate: Any, rows: int
) -> None:
    model = row_wise(quick=False, row_wise=False)
    model.gate = gate
    async with plane(model) as data:
        busy = [asyncio.create_task(data.ask(np.ones((rows, 1)))) for _ in range(4)]
        await asyncio.to_thread(gate.entered.acquire)
        await asyncio.to_thread(gate.entered.acquire)
        late = await data.ask(np.zeros((rows, 1)), seconds=0.02)
        gone = asyncio.create_task(data.ask(np.zeros((rows, 1))))
        await asyncio.sleep(0)
        before = data.limiter.used
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert data.limiter.used == before - 1
        gate.open.set()
        await asyncio.gather(*busy)
        assert isinstance(late, PredictionTimeout)
        assert len(model.asked) == 4
        assert all((asked == 1.0).all() for asked in model.asked)


async def test_bad_input_is_refused_before_it_is_queued(plane: Any, row_wise: Any) -> None:
    model = row_wise()
    async with plane(model) as data:
        good, bad = await data.ask_all(row(1.0), [["a"]])
        np.testing.assert_array_equal(good, row(2.0))
        assert isinstance(bad, InvalidInput)
        assert model.rows == [1]


async def test_work_of_ones_own_runs_in_a_thread_and_its_mistakes_are_errors_with_an_id(
    plane: Any, row_wise: Any
) -> None:
    async with plane(row_wise()) as data:
        deadline = asyncio.get_running_loop().time() + LIMIT
        data.inference.admit()
        thread = await data.inference.run(
            lambda _: threading.current_thread().name, deadline, LIMIT
        )
        assert thread.startswith("predict-")
        data.inference.admit()
        with (
            structlog.testing.capture_logs() as logs,
            pytest.raises(PredictionFailed) as failed,
        ):
            await data.inference.run(lambda _: 1 / 0, deadline, LIMIT)
        assert logs[0]["error_id"] == failed.value.error_id
