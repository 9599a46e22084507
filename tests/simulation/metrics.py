"""A Prometheus that scrapes the pods now and then, and what may be wrong with its answers."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf, nan
from typing import TYPE_CHECKING, Any

from serinus.core.observed import NoData, QueryFailed, Reading, Series
from serinus.ports import SeriesQuery
from serinus_server import contract

from .store import EPOCH

if TYPE_CHECKING:
    from .host import Host
    from .world import World

# What one read may be answered instead of the truth.
FAULTS = (
    "empty", "nan", "inf", "negative", "nodata", "failed", "timeout", "slow", "stale", "reset",
    "crash",
)  # fmt: skip


@dataclass(slots=True)
class _Pod:
    revision: str
    model: str
    namespace: str
    times: list[float] = field(default_factory=list)
    samples: list[tuple[int, int, int]] = field(default_factory=list)  # ok, errors, slow


class Prometheus:
    """Samples of every pod that has ever answered a scrape."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pods: dict[str, _Pod] = {}
        self.away_until = 0.0
        world.loop.outside(world.pace.scrape, self._scrape)

    def _scrape(self) -> None:
        world = self._world
        world.loop.outside(world.pace.scrape, self._scrape)
        for pod in world.store.list("pods", None, {}):
            uid = pod["metadata"]["uid"]
            counted = world.traffic.counters.get(uid)
            if counted is None:
                continue
            known = self._pods.get(uid)
            if known is None:
                known = self._pods[uid] = _Pod(counted.revision, counted.model, counted.namespace)
            known.times.append(world.now)
            known.samples.append((counted.ok, counted.errors, counted.slow))

    def read(self, query: SeriesQuery, lag: float) -> tuple[Series, ...]:
        """The series of one arm; what was scraped in the last ``lag`` seconds is not there yet."""
        start = (query.start - EPOCH) / timedelta(seconds=1)
        end = min((query.end - EPOCH) / timedelta(seconds=1), self._world.now - lag)
        arm = (query.revision, query.model, query.namespace)
        out: list[Series] = []
        for uid, pod in self._pods.items():
            if (pod.revision, pod.model, pod.namespace) != arm:
                continue
            first, last = bisect_left(pod.times, start), bisect_right(pod.times, end)
            if first < last:
                times = [EPOCH + timedelta(seconds=t) for t in pod.times[first:last]]
                out += _series(uid, times, pod.samples[first:last])
        return tuple(out)


class Scrapes:
    """``ports.MetricSource`` that asks the pods themselves, and remembers what they said."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host
        self._taken: dict[str, tuple[list[float], list[tuple[int, int, int]]]] = {}

    async def read(self, query: SeriesQuery) -> Reading:
        world = self._world
        await asyncio.sleep(0.02 + 0.03 * world.rng.random())
        if world.now < world.pods_silent_until:
            _log(world, self._host, query, "failed", [], source="pods")
            return QueryFailed("injected: the pods cannot be reached")
        end = (query.end - EPOCH) / timedelta(seconds=1)
        start = (query.start - EPOCH) / timedelta(seconds=1)
        series: list[Series] = []
        for target in query.targets:
            uid = self._pod(target)
            counted = world.traffic.counters.get(uid)
            if counted is None:
                continue
            times, samples = self._taken.setdefault(uid, ([], []))
            if not times or times[-1] < end:
                times.append(end)
                samples.append((counted.ok, counted.errors, counted.slow))
            first = bisect_left(times, start)
            moments = [EPOCH + timedelta(seconds=t) for t in times[first:]]
            if moments:
                series += _series(uid, moments, samples[first:])
        if not series:
            return NoData("no pod has counted anything")
        _log(world, self._host, query, "samples", _points(series), source="pods")
        return tuple(series)

    def _pod(self, target: str) -> str:
        address = target.rpartition(":")[0]
        for pod in self._world.store.list("pods", None, {}):
            if pod["status"]["podIP"] == address:
                return str(pod["metadata"]["uid"])
        return ""


def _points(series: list[Series]) -> list[list[float]]:
    """Requests and errors so far, summed over pods: [time, requests, errors]."""
    sums: dict[float, list[float]] = {}
    for one in series:
        if one.name != contract.METRIC_REQUESTS:
            continue
        before = one.points[0][1]
        for at, value in one.points:
            t = (at - EPOCH) / timedelta(seconds=1)
            both = sums.setdefault(t, [0.0, 0.0])
            grown = value - before if value >= before else value
            both[0] += grown
            both[1] += grown if one.labels[contract.LABEL_CODE] == "5xx" else 0.0
            before = value
    out, requests, errors = [], 0.0, 0.0
    for t in sorted(sums):
        requests, errors = requests + sums[t][0], errors + sums[t][1]
        out.append([round(t, 6), requests, errors])
    return out


def _series(uid: str, times: list[Any], samples: list[tuple[int, int, int]]) -> list[Series]:
    def one(name: str, labels: dict[str, str], values: list[int]) -> Series:
        points = tuple(zip(times, map(float, values), strict=True))
        return Series(name, {"pod": uid, **labels}, points)

    bucket = f"{contract.METRIC_DURATION}_bucket"
    total = [ok + errors for ok, errors, _ in samples]
    fast = [ok + errors - slow for ok, errors, slow in samples]
    return [
        one(contract.METRIC_REQUESTS, {contract.LABEL_CODE: "2xx"}, [s[0] for s in samples]),
        one(contract.METRIC_REQUESTS, {contract.LABEL_CODE: "5xx"}, [s[1] for s in samples]),
        one(bucket, {"le": "0.1"}, fast),
        one(bucket, {"le": "+Inf"}, total),
    ]


class Source:
    """``ports.MetricSource`` of one operator process."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host

    async def read(self, query: SeriesQuery) -> Reading:
        world = self._world
        fault = world.faults.on_read(query)
        if fault:
            world.fault(f"metrics {fault}", actor=self._host.name, revision=query.revision)
        elif world.now < world.prometheus.away_until:
            fault = "failed"  # a part of the story, not a fault that is counted
        if fault == "reset":
            world.traffic.restart_one(query.revision)
        seconds = {"timeout": 10.0, "slow": 4.9}.get(fault)
        await asyncio.sleep(seconds or 0.02 + 0.03 * world.rng.random())
        lag = world.pace.scrape_lag + (30.0 if fault == "stale" else 0.0)
        series = world.prometheus.read(query, lag)
        answer: Reading = series
        match fault:
            case "empty":
                answer = ()
            case "nodata":
                answer = NoData("injected: Prometheus warns")
            case "failed" | "timeout":
                answer = QueryFailed("injected: Prometheus answered 503")
            case "nan" | "inf" | "negative":
                answer = _spoil(series, {"nan": nan, "inf": inf, "negative": -5.0}[fault])
            case "crash":
                _log(world, self._host, query, "failed", [])
                raise RuntimeError("injected: a bug of the source")
        points = _points(list(series)) if answer is series else []
        _log(world, self._host, query, _kind(answer, fault), points)
        return answer


def _log(
    world: World,
    host: Host,
    query: SeriesQuery,
    answer: str,
    points: list[list[float]],
    source: str = "prometheus",
) -> None:
    world.log(
        "metrics",
        actor=host.name,
        object=f"{query.namespace}/{query.model}",
        revision=query.revision,
        start=(query.start - EPOCH) / timedelta(seconds=1),
        end=(query.end - EPOCH) / timedelta(seconds=1),
        answer=answer,
        source=source,
        requests=points[-1][1] if points else 0,
        errors=points[-1][2] if points else 0,
        points=points,
    )


def _kind(answer: Reading, fault: str) -> str:
    if isinstance(answer, QueryFailed):
        return "failed"
    if isinstance(answer, NoData) or not answer or fault in {"nan", "inf", "negative"}:
        return "nodata"
    return "samples"


def _spoil(series: tuple[Series, ...], value: float) -> tuple[Series, ...]:
    """The last value of every series is no count."""
    return tuple(
        Series(s.name, s.labels, (*s.points[:-1], (s.points[-1][0], value))) for s in series
    )
