"""The stand-ins of the operator's benchmark say what a real Prometheus and a real histogram would."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from bench.operator import report
from bench.operator.measure import quantile_bucket
from bench.operator.traffic import Behaviour, Prometheus, Traffic

from serinus.core.observed import Window
from serinus.core.samples import counts
from serinus.metrics.prometheus import build, parse
from serinus.ports import SeriesQuery
from serinus.sandbox.objects import Object

KEY = ("here", "churn")
START = 1_000_000.0  # Unix seconds, a moment of a sample


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def route(**weights: int) -> Object:
    backends = [{"name": f"churn-{name}", "weight": weight} for name, weight in weights.items()]
    meta = {"namespace": KEY[0], "name": KEY[1]}
    return {"metadata": meta, "spec": {"rules": [{"backendRefs": backends}]}}


def deployment(revision: str, uri: str) -> Object:
    labels = {"serinus.dev/name": KEY[1], "serinus.dev/revision": revision}
    env = [{"name": "SERINUS_MODEL_URI", "value": uri}]
    return {
        "metadata": {"namespace": KEY[0], "name": f"churn-{revision}", "labels": labels},
        "spec": {"template": {"spec": {"containers": [{"env": env}]}}},
    }


def requested(traffic: Traffic, revision: str, end: float) -> tuple[int, int]:
    """Requests and errors of the revision until then."""
    out = {"2xx": 0, "5xx": 0}
    for series in traffic.series(KEY, revision, START, end):
        if code := series["metric"].get("code"):
            out[code] = int(series["values"][-1][1])
    return out["2xx"] + out["5xx"], out["5xx"]


def test_counters_follow_the_weights_and_never_fall() -> None:
    clock = Clock()
    traffic = Traffic({}, rate=100, clock=clock)
    traffic.route_changed(None, route(old=100))
    clock.now += 10
    traffic.route_changed(None, route(old=80, new=20))
    clock.now += 10
    traffic.route_changed(None, route(old=100, new=0))
    clock.now += 10
    traffic.route_changed(None, route(old=100))
    assert requested(traffic, "old", START + 10) == (1000, 0)
    assert requested(traffic, "old", START + 20) == (1800, 0)
    assert requested(traffic, "old", START + 40) == (3800, 0)
    assert requested(traffic, "new", START + 20) == (200, 0)
    assert requested(traffic, "new", START + 40) == (200, 0)
    assert traffic.series(KEY, "new", START, START + 5) == []


def test_a_model_fails_as_its_name_is_told_to() -> None:
    clock = Clock()
    traffic = Traffic({"bad": Behaviour(errors=0.3)}, rate=100, clock=clock)
    traffic.deployment_changed(None, deployment("aaaa", "file:///models/bad"))
    traffic.deployment_changed(None, deployment("bbbb", "file:///models/good"))
    traffic.route_changed(None, route(aaaa=50, bbbb=50))
    assert requested(traffic, "aaaa", START + 10) == (500, 150)
    assert requested(traffic, "bbbb", START + 10) == (500, 0)


async def test_the_operators_query_is_answered_so_that_the_operator_counts_right() -> None:
    clock = Clock()
    traffic = Traffic({"bad": Behaviour(errors=0.1)}, rate=100, clock=clock)
    traffic.deployment_changed(None, deployment("aaaa", "file:///models/bad"))
    traffic.route_changed(None, route(aaaa=100))
    start, end = (datetime.fromtimestamp(START + s, UTC) for s in (10, 30))
    query = SeriesQuery(*KEY, "aaaa", start, end, ())
    form = {"query": build(query, "namespace"), "time": f"{end.timestamp():.3f}"}
    async with Prometheus(traffic) as prometheus, aiohttp.ClientSession() as session:
        url = f"{prometheus.url}/api/v1/query"
        async with session.post(url, data=form) as answer:
            found = parse(answer.status, await answer.read())
        async with session.post(url, data={"query": "up", "time": "1"}) as answer:
            assert answer.status == 400
    assert isinstance(found, tuple)
    counted = counts(found, Window(start=start, end=end, floor=start))
    assert counted is not None
    assert (counted.requests, counted.errors) == (2000, 200)
    assert counted.buckets[math.inf] == 2000


@pytest.mark.parametrize(
    ("counts_by_bucket", "bucket"),
    [
        ({0.1: 98, 1.0: 99, math.inf: 100}, 1.0),
        ({0.1: 99, 1.0: 99, math.inf: 100}, 0.1),
        ({0.1: 0, 1.0: 50, math.inf: 100}, math.inf),
    ],
)
def test_a_quantile_is_in_the_first_bucket_that_holds_enough(
    counts_by_bucket: dict[float, float], bucket: float
) -> None:
    assert quantile_bucket(0.99, counts_by_bucket) == bucket


def test_without_observations_there_is_no_quantile() -> None:
    assert math.isnan(quantile_bucket(0.99, {math.inf: 0}))
    assert math.isnan(quantile_bucket(0.99, {}))


def test_the_table_replaces_what_is_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nafter\n")
    report.write(file, "new")
    assert file.read_text() == f"before\n\n{report.BEGIN}\n\nnew\n\n{report.END}\n\nafter\n"
    bare = tmp_path / "bare.md"
    bare.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        report.write(bare, "new")
    assert bare.read_text() == "no markers"
