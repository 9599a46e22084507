"""The direct scrape: samples are remembered, pods that do not answer spoil the evidence."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.core.observed import NoData, QueryFailed, Series, Window
from serinus.core.samples import counts, increase
from serinus.metrics.scrape import KEPT, MOST, ScrapeSource, thin
from serinus.ports import SeriesQuery

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Pods:
    """Pods that count: address -> (requests, errors); None: it does not answer."""

    def __init__(self, **counters) -> None:
        self.counters = {k.replace("_", "."): v for k, v in counters.items()}

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        counted = self.counters[request.url.host]
        if counted is None:
            raise httpx2.ConnectError("refused")
        requests, errors = counted
        lines = ["# TYPE serinus_requests counter"]
        for traffic, code, value in (
            ("live", "2xx", requests - errors), ("live", "5xx", errors), ("warmup", "2xx", 999),
        ):  # fmt: skip
            labels = f'model="churn",revision="r1",protocol="v2",code="{code}",traffic="{traffic}"'
            lines.append(f"serinus_requests_total{{{labels}}} {value}")
        return httpx2.Response(200, text="\n".join([*lines, ""]))


@pytest.fixture
async def pods():
    return Pods(a=(0, 0), b=(0, 0))


@pytest.fixture
async def source(pods):
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(pods)) as client:
        yield ScrapeSource(client)


def query(second: int) -> SeriesQuery:
    end = START + timedelta(seconds=second)
    return SeriesQuery("ml", "churn", "r1", START, end, ("a:8080", "b:8080"))


async def test_two_scrapes_make_a_difference_over_all_pods(pods, source) -> None:
    await source.read(query(10))
    pods.counters = {"a": (60, 1), "b": (40, 2)}
    found = await source.read(query(20))
    window = Window(START + timedelta(seconds=10), START + timedelta(seconds=20), START)
    assert (counts(found, window).requests, counts(found, window).errors) == (100, 3)


async def test_one_silent_pod_spoils_the_evidence(pods, source) -> None:
    pods.counters["b"] = None
    assert isinstance(await source.read(query(10)), NoData)


async def test_all_pods_silent_is_a_failure(pods, source) -> None:
    pods.counters = {"a": None, "b": None}
    assert isinstance(await source.read(query(10)), QueryFailed)


async def test_without_a_pod_there_is_no_data(source) -> None:
    found = await source.read(SeriesQuery("ml", "churn", "r1", START, START, ()))
    assert isinstance(found, NoData)


def ask(second: float, since: float = 0, **fields) -> SeriesQuery:
    at = START + timedelta(seconds=second)
    base = {"start": START + timedelta(seconds=since), "end": at}
    return dataclasses.replace(query(0), **base, **fields)


async def test_samples_of_before_the_query_are_forgotten_for_good(pods, source) -> None:
    for second in (10, 20, 30):
        await source.read(ask(second))
    found = await source.read(ask(40, since=30))
    assert {len(series.points) for series in found} == {2}
    found = await source.read(ask(50))
    assert {len(series.points) for series in found} == {3}


async def test_a_slot_of_days_keeps_its_beginning_and_all_its_requests(pods, source) -> None:
    for i in range(3 * MOST):
        pods.counters = {"a": (i, 0), "b": (0, 0)}
        found = await source.read(ask(100 * i))
    assert max(len(series.points) for series in found) <= MOST
    end = START + timedelta(seconds=100 * i)
    assert counts(found, Window(START, end, START)).requests == i
    lately = counts(found, Window(end - timedelta(seconds=500), end, START))
    assert lately.requests == 5, "the latest are all there"


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=40))
def test_thinning_never_makes_requests_up(values: list[int]) -> None:
    """Also when pods start anew in between."""
    points = [(START + timedelta(seconds=i), float(v)) for i, v in enumerate(values)]
    window = Window(points[0][0], points[-1][0], START)
    before = increase(Series("n", {}, tuple(points)), window)
    ends = points[0], points[-1]
    thin(points)
    after = increase(Series("n", {}, tuple(points)), window)
    assert before is not None
    assert after is not None
    assert after <= before
    assert (points[0], points[-1]) == ends


async def test_intervals_of_hours_have_two_samples_to_compare(pods, source) -> None:
    hours = 3600.0 * 5
    await source.read(ask(hours, since=0))
    await source.read(ask(hours + 10, since=hours, model="other"))
    pods.counters["a"] = (7, 0)
    found = await source.read(ask(2 * hours, since=hours))
    window = Window(START + timedelta(seconds=hours), START + timedelta(seconds=2 * hours), START)
    assert counts(found, window).requests == 7


async def test_arms_that_nobody_asks_for_any_more_are_forgotten(pods, source) -> None:
    await source.read(ask(10))
    await source.read(ask(20, revision="r2"))
    await source.read(ask(20 + KEPT.total_seconds(), revision="r2", since=3000))
    assert len(source) == 1


async def test_objects_with_pods_of_the_same_labels_do_not_disturb_each_other(pods, source) -> None:
    """Another namespace, another revision: each has its own memory and its own beginning."""
    others = {"namespace": "shop"}
    await source.read(ask(10))
    pods.counters["a"] = (5, 0)
    await source.read(ask(20, **others))
    pods.counters["a"] = (9, 0)
    mine = await source.read(ask(30))
    theirs = await source.read(ask(40, since=20, **others))
    assert counts(mine, Window(START, START + timedelta(seconds=30), START)).requests == 9
    assert counts(theirs, Window(START, START + timedelta(seconds=40), START)).requests == 4


async def test_a_clock_that_is_set_back_loses_what_lay_ahead_and_goes_on(pods, source) -> None:
    await source.read(ask(10))
    pods.counters["a"] = (3, 0)
    await source.read(ask(5000))
    await source.read(ask(20))
    pods.counters["a"] = (8, 0)
    found = await source.read(ask(30))
    at = [START + timedelta(seconds=s) for s in (20, 30)]
    assert counts(found, Window(at[0], at[1], START)).requests == 5


async def test_where_nothing_is_judged_by_latency_no_bucket_is_remembered(source) -> None:
    text = (
        f"serinus_requests_total{{{LABELS}}} 1\n"
        f'serinus_request_duration_seconds_bucket{{{LABELS},le="1"}} 1\n'
    )
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=text))
    async with httpx2.AsyncClient(transport=transport) as client:
        for bounds, want in ((None, 4), ((), 2), (("1.0",), 4)):
            assert len(await ScrapeSource(client).read(ask(10, bounds=bounds))) == want


LABELS = 'model="churn",revision="r1",traffic="live",code="2xx"'


@pytest.mark.parametrize(
    "text",
    {
        "cut off": f"serinus_requests_total{{{LABELS} 1 2 3 x\n",
        "no number": f"serinus_requests_total{{{LABELS}}} many\n",
        "a bucket without a bound": f"serinus_request_duration_seconds_bucket{{{LABELS}}} 1\n",
        "a bound in words": f'serinus_request_duration_seconds_bucket{{{LABELS},le="slow"}} 1\n',
    }.values(),
)
async def test_metrics_that_cannot_be_read_are_a_failure(text: str) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=text))
    async with httpx2.AsyncClient(transport=transport) as client:
        found = await ScrapeSource(client).read(query(10))
    assert isinstance(found, QueryFailed)
    assert "cannot be read" in found.message


async def test_metrics_that_are_no_text_are_a_failure() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=b"\xff\xfe"))
    async with httpx2.AsyncClient(transport=transport) as client:
        found = await ScrapeSource(client).read(query(10))
    assert isinstance(found, QueryFailed)


async def test_an_address_that_is_none_is_a_failure(source) -> None:
    asked = SeriesQuery("ml", "churn", "r1", START, START, ("fd00::1:8080",))
    assert isinstance(await source.read(asked), QueryFailed)
