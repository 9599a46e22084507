"""Built queries and what becomes of every kind of answer."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx2
import pytest

from serinus.core.observed import NoData, QueryFailed
from serinus.metrics.prometheus import WIDE, PrometheusSource, build, parse
from serinus.ports import SeriesQuery

END = datetime(2026, 1, 1, 12, tzinfo=UTC)


def query(**fields) -> SeriesQuery:
    base = {
        "namespace": "ml", "model": "churn", "revision": "01234567",
        "start": END - timedelta(seconds=90), "end": END, "targets": (),
    }  # fmt: skip
    return SeriesQuery(**{**base, **fields})


def test_the_query_selects_one_arms_live_counters_over_exactly_the_window() -> None:
    assert build(query(), "namespace") == (
        '{__name__=~"serinus_requests_total|serinus_request_duration_seconds_bucket",'
        'namespace="ml",model="churn",revision="01234567",traffic="live"}[90s]'
    )


@pytest.mark.parametrize("wide", [True, False])
def test_without_a_latency_bound_no_bucket_is_asked_for(wide: bool) -> None:
    text = build(query(bounds=()), "namespace", wide=wide)
    assert text.startswith('{__name__="serinus_requests_total",namespace="ml",')


def test_a_narrow_query_has_the_judged_buckets_in_every_spelling_and_one_per_decade() -> None:
    text = build(query(bounds=("0.25", "2.0")), "namespace", wide=False)
    (pattern,) = re.findall(r'le=~"([^"]*)"', text)
    found = {le for le in ("", "0.25", "2", "2.0", "+Inf", "0.1", "1") if re.fullmatch(pattern, le)}
    assert found == {"", "0.25", "2", "2.0", "+Inf", "0.1", "1"}
    assert not any(re.fullmatch(pattern, le) for le in ("0.5", "0x25", "12", "20", "5.0"))


@pytest.mark.parametrize("bounds", [None, ("1000000.0",)])
def test_buckets_whose_spelling_is_not_known_are_all_asked_for(bounds) -> None:
    assert "le=" not in build(query(bounds=bounds), "namespace", wide=False)


class Answers:
    """A Prometheus with large answers: sizes in the order of the questions."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(parse_qs(request.content.decode())["query"][0])
        return httpx2.Response(200, content=answer().ljust(self.sizes.pop(0)))

    async def read(self, **fields):
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(self)) as client:
            source = PrometheusSource("http://prometheus:9090", client, limit=1000)
            return await source.read(query(**fields))


async def test_an_answer_that_is_too_large_is_asked_for_again_with_fewer_buckets() -> None:
    prometheus = Answers(1001, 999)
    assert await prometheus.read(bounds=("0.25",)) == ()
    assert ["le=~" in text for text in prometheus.asked] == [False, True]


async def test_a_long_window_is_asked_for_with_few_buckets_at_once() -> None:
    prometheus = Answers(999)
    assert await prometheus.read(bounds=("0.25",), start=END - WIDE - timedelta(seconds=1)) == ()
    assert ["le=~" in text for text in prometheus.asked] == [True]


@pytest.mark.parametrize(("bounds", "questions"), [(("0.25",), 2), ((), 1), (None, 1)])
async def test_what_is_still_too_large_is_a_failure_that_says_what_to_do(bounds, questions) -> None:
    prometheus = Answers(1001, 1001)
    found = await prometheus.read(bounds=bounds)
    assert isinstance(found, QueryFailed)
    assert "more than 1000 bytes" in found.message
    assert "minRequests" in found.message
    assert len(prometheus.asked) == questions


def test_two_replicas_are_no_evidence_and_what_to_do_is_told() -> None:
    one, two = ({**REQUESTS, "prometheus_replica": name} for name in "ab")
    found = parse(200, matrix((one, [[1, "1"]]), (two, [[1, "1"]])))
    assert isinstance(found, NoData)
    assert "SERINUS_PROMETHEUS_URL" in found.message


def test_label_values_are_escaped() -> None:
    text = build(query(model='a"} or up{x="\\\n'), "namespace")
    assert 'model="a\\"} or up{x=\\"\\\\\\n"' in text


def test_an_empty_label_value_is_refused() -> None:
    with pytest.raises(ValueError, match="empty label value"):
        build(query(revision=""), "namespace")


def answer(**fields) -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": "matrix", "result": []}, **fields}
    ).encode()


BUCKET = {"__name__": "serinus_request_duration_seconds_bucket"}
REQUESTS = {"__name__": "serinus_requests_total", "job": "a"}
TWICE = {**REQUESTS, "job": "b"}


def matrix(*series: tuple[dict[str, str], list[list[object]]]) -> bytes:
    result = [{"metric": metric, "values": values} for metric, values in series]
    return answer(data={"resultType": "matrix", "result": result})


def test_two_scrape_jobs_are_no_evidence_and_are_named() -> None:
    found = parse(200, matrix((REQUESTS, [[1, "1"]]), (TWICE, [[1, "1"]])))
    assert isinstance(found, NoData)
    assert "job is 'a', 'b'" in found.message
    assert "take them out of the others' selectors" in found.message


def test_samples_become_series() -> None:
    metric = {"__name__": "serinus_requests_total", "code": "5xx"}
    result = [{"metric": metric, "values": [[END.timestamp(), "3"], [END.timestamp() + 1, "NaN"]]}]
    (series,) = parse(200, answer(data={"resultType": "matrix", "result": result}))
    assert (series.name, series.labels) == ("serinus_requests_total", {"code": "5xx"})
    assert series.points[0] == (END, 3.0)
    assert series.points[1][1] != series.points[1][1], "NaN stays NaN: the core refuses it"


def test_no_series_is_an_empty_answer_not_a_failure() -> None:
    assert parse(200, answer()) == ()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    {
        "a warning means partial data": (200, answer(warnings=["partial response"]), NoData),
        "bad query": (400, answer(status="error", error="parse error"), QueryFailed),
        "overloaded": (503, b"busy", QueryFailed),
        "no JSON": (200, b"<html>", QueryFailed),
        "nested without end": (200, b"[" * 200_000, QueryFailed),
        "no object": (200, b"[]", QueryFailed),
        "no data": (200, b'{"status": "success", "data": 1}', QueryFailed),
        "a sample of the year 10^18": (
            200, matrix(({"__name__": "serinus_requests_total"}, [[1e25, "1"]])), QueryFailed,
        ),
        "a bucket without a bound": (200, matrix((BUCKET, [[1, "1"]])), QueryFailed),
        "two jobs": (200, matrix((REQUESTS, [[1, "1"]]), (TWICE, [[1, "1"]])), NoData),
        "another type": (200, answer(data={"resultType": "vector", "result": []}), QueryFailed),
        "samples without values": (
            200, answer(data={"resultType": "matrix", "result": [{"metric": {}}]}), QueryFailed,
        ),
    }.values(),
)  # fmt: skip
def test_anything_else_is_a_value_that_never_passes_for_health(status, body, kind) -> None:
    assert isinstance(parse(status, body), kind)


async def test_a_refused_connection_is_a_value() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(refuse)) as client:
        found = await PrometheusSource("http://prometheus:9090", client).read(query())
    assert found == QueryFailed("Prometheus: connection refused")


async def test_an_answer_that_is_read_in_time_is_parsed() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=answer()))
    async with httpx2.AsyncClient(transport=transport) as client:
        assert await PrometheusSource("http://prometheus:9090", client).read(query()) == ()


async def test_a_url_that_is_none_is_a_value() -> None:
    async with httpx2.AsyncClient() as client:
        found = await PrometheusSource("http://fd00::1:9090", client).read(query())
    assert isinstance(found, QueryFailed)
