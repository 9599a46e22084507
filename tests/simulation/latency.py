"""How long a breach lasts: from when a canary's pods go bad until its route weight is 0.

Everything is at its defaults: steps, intervals, thresholds, resync and the scrapes of Prometheus. The
moment, the step and how bad it is are the seed's.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from .faults import Faults
from .host import Setup
from .run import Scenario, Trouble, run
from .scenarios.basics import serving
from .world import Pace, World

DEFAULTS = Pace(resync=30.0, scrape=10.0, scrape_lag=0.2, rps=400, gateway=0.5, restart=2.0)
PROMISE = 60.0
PROMISE_ACROSS_A_CRASH = 90.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One breach.

    Attributes:
        stored: seconds until the stored route had weight 0.
        live: seconds until the gateway had it.
    """

    seed: int
    stored: float
    live: float
    troubles: tuple[Trouble, ...]


class _Story:
    """A canary at the defaults that goes bad; ``crash``: then the leader of two operators crashes."""

    def __init__(self, rng: Random, *, crash: bool) -> None:
        self._rng = rng
        self._crash = crash
        self.stored = self.live = float("inf")

    async def tell(self, w: World) -> None:
        rng = self._rng
        w.apply("churn", {"model": {"uri": "models:/churn/1"}})
        await serving(w, "1")
        w.apply("churn", {"model": {"uri": "models:/churn/2"}})
        weight, hold = rng.choice((*(8 * [(5, 120.0)]), (25, 300.0), (50, 300.0)))
        await w.until(lambda: w.weights().get("2", 0) >= weight, 1000.0, f"weight {weight}")
        await w.sleep(rng.uniform(0.0, 0.9 * hold if weight == 5 else 60.0))
        w.set_truth("2", errors=rng.uniform(0.1, 1.0))
        bad = w.now
        if self._crash:
            w.loop.outside(rng.uniform(0.0, 12.0), self._crash_leader, w)
        await w.until(lambda: w.weights() == {"1": 100} or w.weights().get("2") == 0, 200.0, "0")
        self.stored = w.now - bad
        at = ("ml", "churn")
        await w.until(
            lambda: all(v == 0 for k, v in w.gateway.programmed[at] if k.endswith(self._key(w))),
            60.0,
            "weight 0 at the gateway",
        )
        self.live = w.now - bad

    def _key(self, w: World) -> str:
        arm = w.status().get("canary") or w.status().get("failed") or {}
        return str(arm.get("revision", ":none")).partition(":")[2][:8]

    @staticmethod
    def _crash_leader(w: World) -> None:
        for host in w.hosts:
            if host.alive and host.leading:
                w.fault("crash idle", actor=host.name)
                host.crash()


def measure(seed: int, *, crash: bool = False) -> Measured:
    """One seed."""
    story = _Story(Random(f"latency {seed}"), crash=crash)  # noqa: S311
    scenario = Scenario(
        "latency",
        story.tell,
        ({"stable": "1", "failed": "2"},),
        pace=DEFAULTS,
        rest=0,
        limit=120.0,
        setup=Setup(replicas=2, lease=True) if crash else Setup(),
    )
    result = run(scenario, seed, Faults())
    return Measured(seed, story.stored, story.live, tuple(result.troubles))


def distribution(values: Sequence[float]) -> str:
    """Minimum, median, 90th and 99th percentile, maximum."""
    ordered = sorted(values)

    def share(q: float) -> float:
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]

    named = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return "  ".join(f"{name} {share(q):5.1f} s" for name, q in named.items())


def main(seeds: int, jobs: int, first: int) -> int:
    """Prints the distributions; 1 when a promise was broken."""
    broken = 0
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for crash, promise in ((False, PROMISE), (True, PROMISE_ACROSS_A_CRASH)):
            numbers = range(first, first + seeds)
            found = pool.map(partial(measure, crash=crash), numbers, chunksize=10)
            what = "across one crash of the operator" if crash else "without faults"
            print(f"breach to weight 0 at the defaults, {what}, {len(found)} seeds:")
            print(f"  in the route      {distribution([m.stored for m in found])}")
            print(f"  at the gateway    {distribution([m.live for m in found])}")
            for m in found:
                if m.stored > promise or m.troubles:
                    broken += 1
                    told = "; ".join(t.message for t in m.troubles)[:300]
                    print(f"  seed {m.seed}: {m.stored:.1f} s {told}", file=sys.stderr)
    return 1 if broken else 0
