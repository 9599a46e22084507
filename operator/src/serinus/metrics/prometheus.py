"""Raw counter samples from Prometheus, by built queries.

The query is a range selector evaluated at one moment: it returns the raw samples, which
``core.samples`` subtracts. Nothing is rated, extrapolated or typed by a user.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import ceil
from typing import Any

import httpx2

from serinus.core.observed import NoData, QueryFailed, Reading, Series
from serinus.ports import SeriesQuery
from serinus_server import contract

MAX_BYTES = 8 * 1024 * 1024


class PrometheusSource:
    """One Prometheus. ``namespace_label`` is what its relabelling calls a pod's namespace."""

    def __init__(
        self, url: str, client: httpx2.AsyncClient, namespace_label: str = "namespace"
    ) -> None:
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
            answer = await self._client.post(self._url, data=form)
        except httpx2.HTTPError as e:
            return QueryFailed(f"Prometheus: {e or type(e).__name__}")
        if len(answer.content) > MAX_BYTES:
            return QueryFailed(f"Prometheus answered more than {MAX_BYTES} bytes")
        return parse(answer.status_code, answer.content)


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
    names = f'__name__=~"{contract.METRIC_REQUESTS}|{contract.METRIC_DURATION}_bucket"'
    selector = ",".join([names, *(f'{k}="{_escape(v)}"' for k, v in matchers.items())])
    seconds = max(1, ceil((query.end - query.start).total_seconds()))
    return f"{{{selector}}}[{seconds}s]"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def parse(status: int, body: bytes) -> Reading:
    """The samples in an answer of ``/api/v1/query``; anything unexpected is a failure or no data."""
    try:
        told: dict[str, Any] = json.loads(body)
    except ValueError:
        return QueryFailed(f"Prometheus answered {status} and no JSON")
    if status != 200 or told.get("status") != "success":
        return QueryFailed(f"Prometheus answered {status}: {str(told.get('error', ''))[:200]}")
    if told.get("warnings"):
        return NoData(f"Prometheus warns: {'; '.join(map(str, told['warnings']))[:200]}")
    data = told.get("data") or {}
    if data.get("resultType") != "matrix":
        return QueryFailed(f"Prometheus answered a {data.get('resultType')}, not raw samples")
    try:
        return tuple(_series(item) for item in data["result"])
    except (KeyError, TypeError, ValueError) as e:
        return QueryFailed(f"Prometheus answered samples that cannot be read: {e!r}")


def _series(item: dict[str, Any]) -> Series:
    labels = {str(k): str(v) for k, v in item["metric"].items()}
    points = tuple(
        (datetime.fromtimestamp(float(at), UTC), float(value)) for at, value in item["values"]
    )
    return Series(labels.pop("__name__"), labels, points)
