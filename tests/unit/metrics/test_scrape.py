"""The direct scrape: samples are remembered, pods that do not answer spoil the evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from serinus.core.observed import NoData, QueryFailed, Window
from serinus.core.samples import counts
from serinus.metrics.scrape import KEPT, ScrapeSource
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


async def test_old_samples_are_forgotten(pods, source) -> None:
    await source.read(query(10))
    late = START + KEPT + timedelta(minutes=5)
    found = await source.read(SeriesQuery("ml", "churn", "r1", START, late, ("a:8080", "b:8080")))
    assert {len(series.points) for series in found} == {1}


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
