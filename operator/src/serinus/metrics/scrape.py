"""Raw counter samples straight from the pods: the source where no Prometheus is configured.

A pod only tells what it has counted so far, so this source remembers the samples that it took. A
restart forgets them, which costs evidence (verdicts wait longer) but never makes any. Each arm has its own
memory: what is asked of one says nothing of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from serinus.core.observed import NoData, QueryFailed, Reading, Series
from serinus.metrics.fetch import BUCKET, FetchFailed, check_bucket, fetch
from serinus.ports import SeriesQuery
from serinus_server import contract

KEPT = timedelta(hours=1)  # after the last question about an arm
MOST = 600  # samples of one series: 10 minutes at the shortest interval; a slot may last for days
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
        self._taken: dict[_Arm, _Taken] = {}

    def __len__(self) -> int:
        """Arms that are remembered."""
        return len(self._taken)

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
        taken = self._taken.setdefault(arm, _Taken())
        for answer in answers:
            if not isinstance(answer, QueryFailed):
                taken.remember(answer, query.end)
        taken.forget(query)
        self._forget_others(query.end)
        return tuple(
            Series(name, dict(labels), tuple(points))
            for (name, labels), points in taken.series.items()
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

    def _forget_others(self, now: datetime) -> None:
        """Arms that nobody has asked for since long: their rollout is over, or their object is gone."""
        for arm in [arm for arm, taken in self._taken.items() if taken.until < now]:
            del self._taken[arm]


class _Taken:
    """The samples of one arm.

    Attributes:
        until: when it may be forgotten, if nobody asks for it again.
    """

    def __init__(self) -> None:
        self.series: dict[_Id, _Points] = {}
        self.until = datetime.min.replace(tzinfo=UTC)

    def remember(self, found: Iterable[tuple[_Id, float]], at: datetime) -> None:
        """Samples count for the boundary they were asked for, so that slots join exactly."""
        for key, value in found:
            points = self.series.setdefault(key, [])
            while points and points[-1][0] > at:
                points.pop()  # of a future that our clock has taken back
            if not points or points[-1][0] < at:
                points.append((at, value))
                if len(points) > MOST:
                    thin(points)

    def forget(self, query: SeriesQuery) -> None:
        """No later query of an arm begins before this one, so what is older is never asked for again."""
        self.until = query.end + max(KEPT, 3 * (query.end - query.start))
        for key, points in list(self.series.items()):
            old = next((i for i, (at, _) in enumerate(points) if at >= query.start), len(points))
            del points[:old]
            if not points:
                del self.series[key]


def thin(points: _Points) -> None:
    """Drops every second one of the older half, never the first: a long slot keeps its beginning.

    Differences of a counter do not depend on what lies in between. Where a pod started anew in between,
    some of its requests are missed; none is ever counted that was not there.
    """
    del points[1 : len(points) // 2 : 2]


def samples(text: str, query: SeriesQuery, target: str) -> list[tuple[_Id, float]]:
    """The counters of one arm's live traffic in a Prometheus text exposition.

    Raises:
        Exception: the text is malformed; which type it is depends on where the parser stumbles.
    """
    out: list[tuple[_Id, float]] = []
    names = _WANTED if query.bounds != () else {contract.METRIC_REQUESTS}
    wanted = {
        contract.LABEL_MODEL: query.model,
        contract.LABEL_REVISION: query.revision,
        contract.LABEL_TRAFFIC: contract.TRAFFIC_LIVE,
    }
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name not in names or any(labels.get(k) != v for k, v in wanted.items()):
                continue
            check_bucket(sample.name, labels)
            identity = tuple(sorted({**labels, "instance": target}.items()))
            out.append(((sample.name, identity), float(sample.value)))
    return out
