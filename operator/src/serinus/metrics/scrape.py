"""Raw counter samples straight from the pods: the source where no Prometheus is configured.

A pod only tells what it has counted so far, so this source remembers the samples that it took. A
restart forgets them, which costs evidence (verdicts wait longer) but never makes any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from serinus.core.observed import NoData, QueryFailed, Reading, Series
from serinus.metrics.fetch import BUCKET, FetchFailed, check_bucket, fetch
from serinus.ports import SeriesQuery
from serinus_server import contract

KEPT = timedelta(hours=1)
MAX_BYTES = 1024 * 1024
SECONDS = 5.0  # for one pod's whole answer
_WANTED = {contract.METRIC_REQUESTS, BUCKET}

_Id = tuple[str, tuple[tuple[str, str], ...]]  # name and labels, the pod's address among them
_Arm = tuple[str, str, str]
_Points = list[tuple[datetime, float]]


class ScrapeSource:
    """Asks every ready pod of an arm for its ``/metrics``; each has ``seconds`` to answer."""

    def __init__(self, client: httpx2.AsyncClient, seconds: float = SECONDS) -> None:
        self._client = client
        self._seconds = seconds
        self._taken: dict[_Arm, dict[_Id, _Points]] = {}

    async def read(self, query: SeriesQuery) -> Reading:
        if not query.targets:
            return NoData("no ready pod to ask")
        answers = await asyncio.gather(*(self._ask(target, query) for target in query.targets))
        failed = [answer for answer in answers if isinstance(answer, QueryFailed)]
        if len(failed) == len(answers):
            return failed[0]
        if failed:
            return NoData(
                f"{len(failed)} of {len(answers)} pods did not answer: {failed[0].message}"
            )
        arm = (query.namespace, query.model, query.revision)
        taken = self._taken.setdefault(arm, {})
        for answer in answers:
            if not isinstance(answer, QueryFailed):
                self._remember(taken, answer, query.end)
        self._forget(query.end - KEPT)
        return tuple(
            Series(name, dict(labels), tuple(p for p in points if p[0] >= query.start))
            for (name, labels), points in taken.items()
        )

    async def _ask(self, target: str, query: SeriesQuery) -> list[tuple[_Id, float]] | QueryFailed:
        url = f"http://{target}{contract.PATH_METRICS}"
        try:
            status, body = await fetch(
                self._client, "GET", url, limit=MAX_BYTES, seconds=self._seconds
            )
        except FetchFailed as e:
            return QueryFailed(f"pod {target}: {e}")
        if status != 200:
            return QueryFailed(f"pod {target} answered {status}")
        try:
            return samples(body.decode(), query, target)
        except Exception as e:  # noqa: BLE001 - the text is the pod's, and the parser names no errors
            return QueryFailed(f"pod {target} answered metrics that cannot be read: {e!r:.200}")

    def _remember(
        self, taken: dict[_Id, _Points], found: Iterable[tuple[_Id, float]], at: datetime
    ) -> None:
        """Samples count for the boundary they were asked for, so that slots join exactly."""
        for key, value in found:
            points = taken.setdefault(key, [])
            if not points or points[-1][0] < at:
                points.append((at, value))

    def _forget(self, before: datetime) -> None:
        for arm, taken in list(self._taken.items()):
            for key, points in list(taken.items()):
                kept = [point for point in points if point[0] >= before]
                if kept:
                    taken[key] = kept
                else:
                    del taken[key]
            if not taken:
                del self._taken[arm]


def samples(text: str, query: SeriesQuery, target: str) -> list[tuple[_Id, float]]:
    """The counters of one arm's live traffic in a Prometheus text exposition.

    Raises:
        Exception: the text is malformed; which type it is depends on where the parser stumbles.
    """
    out: list[tuple[_Id, float]] = []
    wanted = {
        contract.LABEL_MODEL: query.model,
        contract.LABEL_REVISION: query.revision,
        contract.LABEL_TRAFFIC: contract.TRAFFIC_LIVE,
    }
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name not in _WANTED or any(labels.get(k) != v for k, v in wanted.items()):
                continue
            check_bucket(sample.name, labels)
            identity = tuple(sorted({**labels, "instance": target}.items()))
            out.append(((sample.name, identity), float(sample.value)))
    return out
