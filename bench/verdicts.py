"""Operating characteristics of the verdicts: how often a good canary is taken back, how fast a bad one.

Run ``python -m bench.verdicts``. Random requests (Poisson arrivals, independent answers) go through the
operator's own tests and the slot rules of the default rollout: 5 % for 2 minutes, 25 % and 50 % for 5
minutes each, interval 10 s, minRequests 100, failureThreshold 3, bound 1 %. Pods start at once, so
delays are those of the statistics alone. Seeded: the same numbers each time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import log

import numpy as np

from serinus.core.sequential import (
    Arms,
    compare,
    exceeds_bound,
    mean_wealth,
    no_wealth,
)
from serinus.core.statistics import breaks_bound

STEPS = ((5, 120), (25, 300), (50, 300))
INTERVAL, MIN_REQUESTS, THRESHOLD, BOUND = 10, 100, 3, 0.01
MARGIN, CONFIDENCE = 0.005, 0.99
PATIENCE = 6 * 3600  # seconds after which a rollout that still waits for requests is left alone

_breaks = cache(lambda bad, total: breaks_bound(bad, total, BOUND))


@dataclass
class Slots:
    """The slot rules on one step's counts."""

    total: int = 0
    bad: int = 0
    row: int = 0
    breaches: int = 0
    healthy: bool = False
    proven: bool = False

    def look(self, total: int, bad: int) -> bool:
        """Books an interval; whether its slot closed with a breach."""
        self.total, self.bad = self.total + total, self.bad + bad
        self.proven = False
        if self.total < MIN_REQUESTS:
            return False
        breach = _breaks(self.bad, self.total)
        self.total = self.bad = 0
        self.row = self.row + 1 if breach else 0
        self.breaches += breach
        self.healthy = self.proven = not breach
        return breach

    @property
    def failed(self) -> bool:
        return self.row >= THRESHOLD or self.breaches >= 2 * THRESHOLD


def bound(rng: np.random.Generator, rate: float, share: float, *, sequential: bool) -> float | None:
    """Seconds until the canary is taken back; None: it is promoted. ``rate`` is of both arms together."""
    now, row = 0, 0
    for weight, hold in STEPS:
        slots, end, total, bad = Slots(row=row), now + hold, 0, 0
        while not (now >= end and slots.healthy and slots.proven):
            now += INTERVAL
            if now > PATIENCE:
                return None
            new = int(rng.poisson(rate * weight / 100 * INTERVAL))
            wrong = int(rng.binomial(new, share))
            total, bad = total + new, bad + wrong
            if slots.look(new, wrong):
                end = now + hold
            if slots.failed or (sequential and exceeds_bound(bad, total, BOUND)):
                return float(now)
        row = slots.row
    return None


def comparison(rng: np.random.Generator, rate: float, share: float, stable: float) -> float | None:
    """The same for a canary that is only compared with stable, by the defaults of ``compareTo``."""
    now, wealth, sums = 0, no_wealth(), Arms()
    for weight, hold in STEPS:
        end = now + hold
        while now < end:
            now += INTERVAL
            new = int(rng.poisson(rate * weight / 100 * INTERVAL))
            other = int(rng.poisson(rate * (100 - weight) / 100 * INTERVAL))
            bad, other_bad = int(rng.binomial(new, share)), int(rng.binomial(other, stable))
            wealth = compare(wealth, sums, Arms(new, bad, other, other_bad), MARGIN)
            sums = Arms(
                sums.total + new,
                sums.bad + bad,
                sums.stable_total + other,
                sums.stable_bad + other_bad,
            )
            if mean_wealth(wealth) >= -log(1 - CONFIDENCE):
                return float(now)
    return None


def summary(ends: Sequence[float | None]) -> str:
    """Share taken back, and the median and 95th percentile of when."""
    found = sorted(end for end in ends if end is not None)
    if not found:
        return f"0 of {len(ends)}"
    share = f"{100 * len(found) / len(ends):.3g} %"
    middle, late = found[len(found) // 2], found[min(len(found) - 1, 19 * len(found) // 20)]
    return f"{share}, {middle:.0f} s ({late:.0f} s)"


# What is played, and how many times: share of bad requests (of stable too, in the second).
BOUNDS = ((0.005, 20_000), (0.01, 5_000), (0.02, 2_000), (0.05, 2_000), (0.2, 2_000))
COMPARISONS = ((0.01, 0.01, 2_000), (0.015, 0.01, 2_000), (0.05, 0.01, 1_000), (0.2, 0.01, 1_000))
RATES = (10, 100, 1000)  # requests per second, of both arms together


def main() -> int:
    """Play and print; takes a few minutes."""
    _say("bound 1 %: share taken back before promotion, median (95th percentile) of when")
    for share, runs in BOUNDS:
        for rate in RATES:
            told = []
            for sequential in (False, True):
                rng = np.random.default_rng(7)
                told.append(
                    summary([bound(rng, rate, share, sequential=sequential) for _ in range(runs)])
                )
            _say(f"{share:6.1%} {rate:5d}/s  slots {told[0]:28} both {told[1]}")
    _say("compared with stable, margin 0.005, confidence 0.99")
    for share, stable, runs in COMPARISONS:
        for rate in RATES:
            rng = np.random.default_rng(7)
            ends = [comparison(rng, rate, share, stable) for _ in range(runs)]
            _say(f"{share:6.1%} against {stable:.1%} {rate:5d}/s  {summary(ends)}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
