"""Raw counter samples from Prometheus, by built queries.

The query is a range selector evaluated at one moment: it returns the raw samples, which
``core.samples`` subtracts. Nothing is rated, extrapolated or typed by a user.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import httpx2

from serinus.core.observed import NoData, QueryFailed, Reading, Series
from serinus.metrics.fetch import BUCKET, FetchFailed, TooLarge, check_bucket, fetch
from serinus.ports import SeriesQuery
from serinus_server import contract

MAX_BYTES = 32 * 1024 * 1024
SECONDS = 10.0  # for the whole answer, also when it is asked for twice; the query itself has 5

# A pod has 54 series (9 of requests, 45 of buckets), and a sample takes about 25 bytes. A window longer
# than this is that of a quiet slot: there is no need of every bucket to say how slow a few requests were.
WIDE = timedelta(minutes=30)
_DECADES = ("0.01", "0.1", "1.0")
_EXPONENT = 1e6  # from here on bounds are spelled with an exponent, in more than one way

# Labels that say who scraped, and what to do when with several values every request is there several times.
_SCRAPERS = {
    "job": "let one job scrape them: take them out of the others' selectors "
    "(PodMonitor, ServiceMonitor, annotations prometheus.io/scrape)",
    "prometheus_replica": "let SERINUS_PROMETHEUS_URL name one replica, or a querier that deduplicates",
}


class PrometheusSource:
    """One Prometheus, which has ``seconds`` to answer with at most ``limit`` bytes.

    ``namespace_label`` is what its relabelling calls a pod's namespace. An answer that is too large is
    asked for again without the buckets that nothing is judged by.
    """

    def __init__(
        self,
        url: str,
        client: httpx2.AsyncClient,
        namespace_label: str = "namespace",
        seconds: float = SECONDS,
        limit: int = MAX_BYTES,
    ) -> None:
        self._seconds = seconds
        self._limit = limit
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._client = client
        self._namespace_label = namespace_label

    async def read(self, query: SeriesQuery) -> Reading:
        time = asyncio.get_running_loop().time
        until = time() + self._seconds
        try:
            try:
                wide = query.end - query.start <= WIDE
                status, body = await self._ask(query, wide=wide, seconds=self._seconds)
            except TooLarge:
                if not wide or not query.bounds:
                    raise
                status, body = await self._ask(query, wide=False, seconds=until - time())
        except TooLarge as e:
            return QueryFailed(
                f"Prometheus: {e}: scrape these pods less often, "
                "or let slots close sooner (spec.analysis.minRequests)"
            )
        except FetchFailed as e:
            return QueryFailed(f"Prometheus: {e}")
        return await asyncio.to_thread(parse, status, body)  # many MiB take a while

    async def _ask(self, query: SeriesQuery, *, wide: bool, seconds: float) -> tuple[int, bytes]:
        form = {
            "query": build(query, self._namespace_label, wide=wide),
            "time": f"{query.end.timestamp():.3f}",
            "timeout": "5s",
        }
        return await fetch(
            self._client, "POST", self._url, form=form, limit=self._limit, seconds=seconds
        )


def build(query: SeriesQuery, namespace_label: str, *, wide: bool = True) -> str:
    """The selector of an arm's live requests and latency buckets, over the query's time.

    ``wide``: with all buckets, which make the quantiles that people are shown exact to a bucket. Otherwise
    with those that are judged by and one per decade.

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
    what = [*_names(query.bounds, wide=wide), *(f'{k}="{_escape(v)}"' for k, v in matchers.items())]
    selector = ",".join(what)
    seconds = max(1, ceil((query.end - query.start).total_seconds()))
    return f"{{{selector}}}[{seconds}s]"


def _names(bounds: tuple[str, ...] | None, *, wide: bool) -> list[str]:
    if bounds == ():
        return [f'__name__="{contract.METRIC_REQUESTS}"']  # nothing is judged by buckets
    names = f'__name__=~"{contract.METRIC_REQUESTS}|{BUCKET}"'
    if wide or bounds is None or any(float(bound) >= _EXPONENT for bound in bounds):
        return [names]
    spelled = dict.fromkeys(text for bound in (*bounds, *_DECADES) for text in _spellings(bound))
    listed = "|".join(text.replace(".", "[.]") for text in spelled)
    return [names, f'le=~"|{listed}|[+]Inf"']  # the empty one: requests have no le


def _spellings(bound: str) -> tuple[str, ...]:
    """Whole seconds are ``1.0`` or ``1``, depending on versions of clients and of Prometheus."""
    value = float(bound)
    return (f"{value:.1f}", f"{value:.0f}") if value.is_integer() else (repr(value),)


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
    for label, remedy in _SCRAPERS.items():
        values = sorted({series.labels.get(label, "") for series in found})
        if len(values) > 1:
            told = ", ".join(repr(value) for value in values[:4])
            return NoData(
                f"Prometheus has these pods' requests more than once: {label} is {told}; {remedy}"
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
