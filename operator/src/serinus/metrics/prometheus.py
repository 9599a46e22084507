"""Raw counter samples from Prometheus, by built queries.

The query is a range selector evaluated at one moment: it returns the raw samples, which
``core.samples`` subtracts. Nothing is rated, extrapolated or typed by a user.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from math import ceil
from typing import Any

import httpx2

from serinus.core.observed import NoData, QueryFailed, Reading, Series
from serinus.metrics.fetch import BUCKET, FetchFailed, check_bucket, fetch
from serinus.ports import SeriesQuery
from serinus_server import contract

MAX_BYTES = 32 * 1024 * 1024
SECONDS = 10.0  # for the whole answer; the query itself has 5

# Labels that say who scraped: with several values, every request is there several times.
_SCRAPERS = ("job", "prometheus_replica")


class PrometheusSource:
    """One Prometheus, which has ``seconds`` to answer.

    ``namespace_label`` is what its relabelling calls a pod's namespace.
    """

    def __init__(
        self,
        url: str,
        client: httpx2.AsyncClient,
        namespace_label: str = "namespace",
        seconds: float = SECONDS,
    ) -> None:
        self._seconds = seconds
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._client = client
        self._namespace_label = namespace_label

    async def read(self, query: SeriesQuery) -> Reading:
        form = {
            "query": build(query, self._namespace_label),
            "time": f"{query.end.timestamp():.3f}",
            "timeout": "5s",
        }
        try:
            status, body = await fetch(
                self._client, "POST", self._url, form=form, limit=MAX_BYTES, seconds=self._seconds
            )
        except FetchFailed as e:
            return QueryFailed(f"Prometheus: {e}")
        return await asyncio.to_thread(parse, status, body)  # many MiB take a while


def build(query: SeriesQuery, namespace_label: str) -> str:
    """The selector of an arm's live requests and latency buckets, over the query's time.

    Raises:
        ValueError: for an empty label value, which in PromQL would match series without it.
    """
    matchers = {
        namespace_label: query.namespace,
        contract.LABEL_MODEL: query.model,
        contract.LABEL_REVISION: query.revision,
        contract.LABEL_TRAFFIC: contract.TRAFFIC_LIVE,
    }
    if not all(matchers.values()):
        raise ValueError(f"an empty label value would match other series: {matchers}")
    names = f'__name__=~"{contract.METRIC_REQUESTS}|{BUCKET}"'
    selector = ",".join([names, *(f'{k}="{_escape(v)}"' for k, v in matchers.items())])
    seconds = max(1, ceil((query.end - query.start).total_seconds()))
    return f"{{{selector}}}[{seconds}s]"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def parse(status: int, body: bytes) -> Reading:
    """The samples in an answer of ``/api/v1/query``; anything unexpected is a failure or no data."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return QueryFailed(f"Prometheus answered {status} and no JSON object")
    if status != 200 or told.get("status") != "success":
        return QueryFailed(f"Prometheus answered {status}: {str(told.get('error', ''))[:200]}")
    if told.get("warnings"):
        return NoData(f"Prometheus warns: {str(told['warnings'])[:200]}")
    data = told.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        return QueryFailed("Prometheus answered something else than raw samples")
    try:
        found = tuple(_series(item) for item in data["result"])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as e:
        return QueryFailed(f"Prometheus answered samples that cannot be read: {e!r:.200}")
    return _counted_twice(found) or found


def _counted_twice(found: tuple[Series, ...]) -> NoData | None:
    for label in _SCRAPERS:
        values = sorted({series.labels.get(label, "") for series in found})
        if len(values) > 1:
            told = ", ".join(repr(value) for value in values[:4])
            return NoData(
                f"Prometheus has these pods' requests more than once: {label} is {told}; "
                "let one job scrape them"
            )
    return None


def _series(item: dict[str, Any]) -> Series:
    labels = {str(k): str(v) for k, v in item["metric"].items()}
    points = tuple(
        (datetime.fromtimestamp(float(at), UTC), float(value)) for at, value in item["values"]
    )
    name = labels.pop("__name__")
    check_bucket(name, labels)
    return Series(name, labels, points)
