"""The few calculations behind the table. Pure, so that they can be tested without a clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of several rounds."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and extremes of ``values``.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values")
    return Spread(median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed.

    Raises:
        ValueError: there are no values, or ``share`` is none.
    """
    if not values:
        raise ValueError("no values")
    if not 0 < share <= 1:
        raise ValueError("share must be above 0 and at most 1")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def paired_ratio(ours: Sequence[float], peers: Sequence[float]) -> float:
    """The median of the rounds' ratios ours/peer.

    Both values of a round were taken one right after the other, so that what slowed down the
    machine meanwhile slowed down both; a ratio of medians would pair values of different minutes.

    Raises:
        ValueError: the numbers of rounds differ, or there are none.
    """
    return median([own / other for own, other in zip(ours, peers, strict=True)])
