"""Every answer is counted once, under the version that gave it and for what it was worth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from serinus.sandbox.demo.traffic import (
    MAX_IN_FLIGHT,
    Account,
    Answer,
    Load,
    Outcome,
    classify,
    encode,
    percentile,
)
from serinus.sandbox.demo.training import LiveRows

EXPECTED = {"1": 0, "2": 1, "3": None}


def body(*predictions: int) -> bytes:
    return json.dumps({"predictions": list(predictions)}).encode()


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.99, None),
        ([7.0], 0.99, 7.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([3.0, 1.0, 2.0], 0.0, 1.0),
        ([3.0, 1.0, 2.0], 1.0, 3.0),
    ],
)
def test_percentile_is_the_nearest_rank(
    values: list[float], share: float, expected: float | None
) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("status", "version", "content", "outcome"),
    [
        pytest.param(200, "1", body(0), Outcome.OK, id="right prediction"),
        pytest.param(200, "2", body(1), Outcome.OK, id="each version has its own answer"),
        pytest.param(200, "2", body(0), Outcome.WRONG, id="another version's prediction"),
        pytest.param(200, "2", body(1, 1), Outcome.WRONG, id="two predictions for one row"),
        pytest.param(200, "3", body(1), Outcome.WRONG, id="a prediction where the model raises"),
        pytest.param(200, "9", body(1), Outcome.WRONG, id="a version that nobody registered"),
        pytest.param(200, "1", b"[]", Outcome.WRONG, id="no predictions"),
        pytest.param(200, "1", b"<html>", Outcome.WRONG, id="not JSON"),
        pytest.param(422, "1", b"{}", Outcome.WRONG, id="a real row that the server refuses"),
        pytest.param(500, "3", b"{}", Outcome.MODEL_ERROR, id="the model raised"),
        pytest.param(503, "3", b"{}", Outcome.MODEL_ERROR, id="the model server is full"),
        pytest.param(503, "", b"no healthy upstream", Outcome.REFUSED, id="the gateway's 503"),
        pytest.param(404, "", b"", Outcome.REFUSED, id="no route"),
        pytest.param(200, "", body(0), Outcome.REFUSED, id="somebody else answered"),
    ],
)
def test_an_answer_is_judged_by_status_header_and_prediction(
    status: int, version: str, content: bytes, outcome: Outcome
) -> None:
    found, why = classify(status, version, content, EXPECTED)
    assert found is outcome
    assert bool(why) == (outcome is not Outcome.OK)


def test_totals_are_kept_by_version_and_outcome() -> None:
    account = Account()
    for version, outcome in [("1", Outcome.OK), ("1", Outcome.OK), ("2", Outcome.MODEL_ERROR)]:
        account.add(Answer(1.0, version, outcome, 0.01))
    account.add(Answer(1.0, "", Outcome.REFUSED, 0.0), "no connection")
    assert account.total() == 4
    assert account.total("1") == account.total("1", Outcome.OK) == 2
    assert account.total(outcome=Outcome.MODEL_ERROR) == account.total("2") == 1
    assert account.versions() == ["1", "2"]
    assert account.shares() == {"1": 2, "2": 1}
    assert [problem.outcome for problem in account.problems] == ["model error", "refused"]
    assert account.problems[-1].why == "no connection"


def test_recent_numbers_forget_what_is_older_than_the_window() -> None:
    account = Account(window=10.0)
    for second in range(30):
        outcome = Outcome.MODEL_ERROR if second < 15 else Outcome.OK
        account.add(Answer(float(second), "2", outcome, 0.5 if second < 15 else 0.1))
    early, late = account.recent("2", 29.0), account.recent("2", 100.0)
    assert early.requests == 11
    assert early.error_rate == 0.0
    assert early.p99 == 0.1
    assert early.per_second == pytest.approx(1.1)
    assert (late.requests, late.per_second, late.error_rate, late.p99) == (0, 0.0, None, None)
    assert account.total("2", Outcome.MODEL_ERROR) == 15
    assert account.recent("2", 29.0, seconds=4.0).requests == 0, "the window has moved on"


def test_recent_numbers_may_be_of_less_than_the_window() -> None:
    account = Account(window=10.0)
    for second in range(10):
        account.add(Answer(float(second), "1", Outcome.OK, second / 10))
    assert account.recent("1", 9.0, seconds=3.0).requests == 4
    assert account.recent("1", 9.0, seconds=3.0).p99 == 0.9


def test_the_rate_of_a_new_version_counts_from_its_first_answer() -> None:
    account = Account(window=10.0)
    account.add(Answer(0.0, "1", Outcome.OK, 0.01))
    for tenth in range(21):
        account.add(Answer(100 + tenth / 10, "2", Outcome.OK, 0.01))
    assert account.recent("2", 102.0).per_second == pytest.approx(10.5)


def test_the_first_bad_and_the_last_answer_of_a_version_are_known() -> None:
    account = Account()
    for at, outcome in [(5.0, Outcome.OK), (6.0, Outcome.MODEL_ERROR), (7.0, Outcome.MODEL_ERROR)]:
        account.add(Answer(at, "3", outcome, 0.01))
    account.add(Answer(9.0, "3", Outcome.OK, 0.01))
    assert account.first_bad("3") == 6.0
    assert account.first_bad("2") is None
    assert account.last["3"] == 9.0


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    servers = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_post("/invocations", handler)
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        return str(server.make_url("/"))

    yield start
    for server in servers:
        await server.close()


ROWS = LiveRows(("a", "b"), ((1.0, 2.0), (3.0, 4.0)), {"1": (0, 1)})


class CountedAccount(Account):
    """An account that tells when it has enough answers."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self.full = asyncio.Event()
        self._enough = enough

    def add(self, answer: Answer, why: str = "") -> None:
        super().add(answer, why)
        if self.total() >= self._enough:
            self.full.set()


async def drive(url: str, enough: int, rate: float = 500) -> Account:
    """Send until there are enough answers."""
    account = CountedAccount(enough)
    task = asyncio.create_task(Load(url, "m.example", ROWS, account, rate=rate).run())
    async with asyncio.timeout(20):
        await account.full.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return account


async def test_the_load_sends_every_row_with_its_columns_to_the_host(
    serve: Callable[[Handler], Awaitable[str]],
) -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        split = (await request.json())["dataframe_split"]
        seen.append((request.headers["Host"], split["columns"], split["data"]))
        prediction = int(split["data"][0][0] == 3.0)
        return web.json_response({"predictions": [prediction]}, headers={"x-serinus-version": "1"})

    account = await drive(await serve(handler), 20)
    assert account.total("1", Outcome.OK) == account.total() == len(seen)
    assert seen[0] == ("m.example", ["a", "b"], [[1.0, 2.0]])
    assert seen[1] == ("m.example", ["a", "b"], [[3.0, 4.0]])


async def test_slow_answers_do_not_slow_the_load_down(
    serve: Callable[[Handler], Awaitable[str]],
) -> None:
    release, crowded = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 25:
            crowded.set()
        await release.wait()
        return web.json_response({"predictions": [0]}, headers={"x-serinus-version": "1"})

    url, account = await serve(handler), Account()
    task = asyncio.create_task(Load(url, "m", ROWS, account, rate=500).run())
    async with asyncio.timeout(20):
        await crowded.wait()
    assert account.total() == 0
    task.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert account.total() >= 25, "requests in flight are awaited and counted at the end"


async def test_a_stuck_server_gets_no_more_than_the_limit_and_nothing_counts_as_refused(
    serve: Callable[[Handler], Awaitable[str]],
) -> None:
    release, crowded = asyncio.Event(), asyncio.Event()
    waiting = most = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        if waiting == MAX_IN_FLIGHT:
            crowded.set()
        await release.wait()
        waiting -= 1
        return web.json_response({"predictions": [0]}, headers={"x-serinus-version": "1"})

    url, account = await serve(handler), CountedAccount(MAX_IN_FLIGHT + 20)
    task = asyncio.create_task(Load(url, "m", ROWS, account, rate=2000).run())
    async with asyncio.timeout(20):
        await crowded.wait()
        release.set()
        await account.full.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert most == MAX_IN_FLIGHT
    assert account.total(outcome=Outcome.REFUSED) == 0


async def test_nobody_listening_is_a_refused_request_with_its_reason() -> None:
    account = await drive("http://127.0.0.1:1", 3, rate=50)
    assert account.total(outcome=Outcome.REFUSED) == account.total()
    assert "127.0.0.1:1" in account.problems[0].why


def test_every_row_is_encoded_with_what_each_version_says() -> None:
    requests = encode(ROWS)
    assert [expected for _, expected in requests] == [{"1": 0}, {"1": 1}]
    assert json.loads(requests[1][0])["dataframe_split"]["data"] == [[3.0, 4.0]]
