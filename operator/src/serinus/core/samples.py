"""From raw counter samples to counts of one slot.

Counts are differences of raw counters: nothing is extrapolated, no request is counted twice, and
consecutive slots of a step join without a gap, because each begins at the sample where the last
one ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf, isfinite

from serinus.core.observed import Series, Window
from serinus_server import contract

# Older samples are no evidence about now: a scrape has stopped, or a clock is wrong. Prometheus scrapes once
# a minute where nobody says otherwise.
FRESH = timedelta(seconds=60)


def freshness(interval: timedelta) -> timedelta:
    """How old a sample may be, where evidence is looked at every ``interval``."""
    return max(2 * interval, FRESH)


@dataclass(frozen=True, slots=True)
class Counts:
    """Live requests of one arm in one slot.

    Attributes:
        requests: answered requests.
        errors: of them, answered with a code of ``contract.ERROR_CODES``: 5xx, and what it is to gRPC.
        buckets: upper bound in seconds -> requests at most that slow; cumulative, ends with inf.
    """

    requests: int
    errors: int
    buckets: dict[float, int] = field(default_factory=dict)

    def slower_than(self, seconds: float) -> int | None:
        """Requests slower than ``seconds``; None when no bucket has exactly this bound."""
        for bound, count in self.buckets.items():
            if abs(bound - seconds) < 1e-9:
                return self.buckets[inf] - count if inf in self.buckets else None
        return None

    def quantile(self, share: float) -> float | None:
        """Estimate, in seconds, for people: linear within the bucket; None without requests."""
        total = self.buckets.get(inf, 0)
        if not total:
            return None
        rank, lower, below = share * total, 0.0, 0
        for bound, count in sorted(self.buckets.items()):
            if count >= rank:
                if bound == inf or count == below:
                    return lower
                return lower + (bound - lower) * (rank - below) / (count - below)
            lower, below = bound, count
        return lower


def increase(series: Series, window: Window) -> float | None:
    """How much a counter grew in the window; None without a sample in it.

    The baseline is the last sample at or before the start (never before the floor), else the first
    one after it. A smaller value than before is a restart of the process, which counts from 0.
    """
    baseline: float | None = None
    grown = 0.0
    last: float | None = None
    for at, value in series.points:
        if at < window.floor or at > window.end:
            continue
        if at <= window.start or baseline is None:
            baseline, last, grown = value, value, 0.0
            continue
        if last is not None:
            grown += value - last if value >= last else value
        last = value
    return None if baseline is None else grown


def newest(all_series: Iterable[Series], window: Window) -> datetime | None:
    """When the latest sample in the window was taken; None: there is none."""
    found = [
        at for series in all_series for at, _ in series.points if window.floor <= at <= window.end
    ]
    return max(found, default=None)


def counts(all_series: Iterable[Series], window: Window) -> Counts | None:
    """Sum over pods and protocols.

    None when there is no sample in the window, or when one of them is no count (NaN, infinite or
    negative): evidence that is partly wrong is no evidence.
    """
    requests = errors = 0.0
    buckets: dict[float, float] = {}
    usable = False
    for series in all_series:
        if any(not isfinite(value) or value < 0 for _, value in series.points):
            return None
        grown = increase(series, window)
        if grown is None:
            continue
        if series.name == contract.METRIC_REQUESTS:
            usable = True
            requests += grown
            if series.labels.get(contract.LABEL_CODE) in contract.ERROR_CODES:
                errors += grown
        elif series.name == f"{contract.METRIC_DURATION}_bucket":
            bound = float(series.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + grown
    if not usable:
        return None
    return Counts(round(requests), round(errors), {b: round(n) for b, n in sorted(buckets.items())})
