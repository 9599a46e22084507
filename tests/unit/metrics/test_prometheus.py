"""Built queries and what becomes of every kind of answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from serinus.core.observed import NoData, QueryFailed
from serinus.metrics.prometheus import PrometheusSource, build, parse
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
