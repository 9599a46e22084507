"""Requests that nobody sends, counted as if they had followed the live weights, and a Prometheus to
ask for them.

Each model behaves as its name is told to: so many of its requests fail. Counters are exact functions
of the routes' weights over time, sampled at fixed moments, so that what a query answers does not
depend on when it is asked.
"""

from __future__ import annotations

import bisect
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from serinus.api import names
from serinus.sandbox.objects import Key, Object, key_of, labels_of, namespace_of
from serinus_server import contract

SCRAPE = 0.5  # seconds between two samples
_MATCHER = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_RANGE = re.compile(r"\[(\d+)s\]$")
_LATENCY = 0.004  # seconds, of every request


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Of a model: ``errors`` is the share, 0 to 1, of its requests that fail."""

    errors: float = 0.0


@dataclass(frozen=True, slots=True)
class _Span:
    """From ``at`` (Unix seconds) on, ``weights`` held; ``before`` had been requested until then."""

    at: float
    weights: Mapping[str, int]
    before: Mapping[str, float]


class Traffic:
    """The same number of requests per second to every model, shared by the weights of its route.

    Args:
        behaviours: by the last part of the model's URI; others never fail.
        rate: requests per second and model.
        clock: Unix seconds.
    """

    def __init__(
        self,
        behaviours: Mapping[str, Behaviour],
        rate: float = 200.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._behaviours = behaviours
        self._rate = rate
        self._clock = clock
        self._spans: dict[Key, list[_Span]] = {}
        self._models: dict[tuple[Key, str], str] = {}

    def route_changed(self, before: Object | None, after: Object | None) -> None:
        """For an informer of HTTPRoutes."""
        del before
        if after is None:
            return
        key = key_of(after)
        rule = (after["spec"].get("rules") or [{}])[0]
        weights = {
            str(ref["name"]).removeprefix(f"{key[1]}-"): int(ref.get("weight", 1))
            for ref in rule.get("backendRefs") or ()
        }
        spans = self._spans.setdefault(key, [])
        if spans and spans[-1].weights == weights:
            return
        now = self._clock()
        requested = {revision: self._requested(key, revision, now) for revision in weights}
        earlier = spans[-1].before if spans else {}
        for revision in earlier.keys() - weights.keys():
            requested[revision] = self._requested(key, revision, now)
        spans.append(_Span(now, weights, requested))

    def deployment_changed(self, before: Object | None, after: Object | None) -> None:
        """For an informer of Deployments: which revision serves which model."""
        del before
        labels = labels_of(after) if after is not None else {}
        if after is None or names.LABEL_REVISION not in labels:
            return
        key = (namespace_of(after), labels[names.LABEL_NAME])
        (container,) = after["spec"]["template"]["spec"]["containers"]
        environment = {one["name"]: one.get("value", "") for one in container["env"]}
        uri = environment[contract.ENV_MODEL_URI]
        self._models[key, labels[names.LABEL_REVISION]] = uri.rstrip("/").rpartition("/")[2]

    def series(self, key: Key, revision: str, start: float, end: float) -> list[dict[str, Any]]:
        """The raw samples of one revision's counters, as Prometheus writes them."""
        spans = self._spans.get(key)
        first = next((s.at for s in spans or () if revision in s.weights), math.inf)
        begin = math.ceil(max(start, first) / SCRAPE)
        moments = [n * SCRAPE for n in range(begin, math.floor(end / SCRAPE) + 1)] if spans else []
        if not moments:
            return []
        model = self._models.get((key, revision), "")
        share = self._behaviours.get(model, Behaviour()).errors
        totals = [math.floor(self._requested(key, revision, at)) for at in moments]
        errors = [math.floor(total * share) for total in totals]
        counted = [
            (contract.METRIC_REQUESTS, {"code": "5xx"}, errors),
            (
                contract.METRIC_REQUESTS,
                {"code": "2xx"},
                [a - b for a, b in zip(totals, errors, strict=True)],
            ),
            *_buckets(totals),
        ]
        common = {
            "namespace": key[0],
            contract.LABEL_MODEL: key[1],
            contract.LABEL_REVISION: revision,
            contract.LABEL_TRAFFIC: contract.TRAFFIC_LIVE,
            contract.LABEL_PROTOCOL: "v2",
            "pod": f"{key[1]}-{revision}-0",
            "job": "pods",
        }
        return [
            {
                "metric": {"__name__": name, **common, **labels},
                "values": [[at, str(value)] for at, value in zip(moments, values, strict=True)],
            }
            for name, labels, values in counted
        ]

    def _requested(self, key: Key, revision: str, at: float) -> float:
        spans = self._spans.get(key) or []
        index = bisect.bisect_right(spans, at, key=lambda span: span.at) - 1
        if index < 0:
            return 0.0
        span = spans[index]
        total = sum(span.weights.values()) or 1
        share = span.weights.get(revision, 0) / total
        return span.before.get(revision, 0.0) + self._rate * share * (at - span.at)


def _buckets(totals: list[int]) -> Iterator[tuple[str, dict[str, str], list[int]]]:
    name = f"{contract.METRIC_DURATION}_bucket"
    for bound in contract.DEFAULT_BUCKETS:
        yield name, {"le": str(bound)}, totals if bound >= _LATENCY else [0] * len(totals)
    yield name, {"le": "+Inf"}, totals


class Prometheus:
    """``/api/v1/query`` for the operator's query and no other. Use it as an async context manager."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.queries = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.post("/api/v1/query", self._query)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        _, port = self._runner.addresses[0][:2]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        form = await request.post()
        query, at = str(form["query"]), float(str(form["time"]))
        found, length = dict(_MATCHER.findall(query)), _RANGE.search(query)
        if length is None:
            text = {"status": "error", "error": "not the operator's query"}
            return web.json_response(text, status=400)
        self.queries += 1
        key = (found["namespace"], found[contract.LABEL_MODEL])
        result = self._traffic.series(key, found[contract.LABEL_REVISION], at - int(length[1]), at)
        data = {"resultType": "matrix", "result": result}
        return web.json_response({"status": "success", "data": data})
