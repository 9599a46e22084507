"""Versions that are bad, and pods that are."""

from __future__ import annotations

from typing import Any

from ..run import Scenario
from ..world import World
from .basics import (
    at_rest,
    first_deploy,
    over,
    rolled_back,
    serving,
    spec,
    started,
    weighted,
)  # fmt: skip


def breach_at(weight: int, errors: float) -> Any:
    """A version that goes bad when it has reached a weight."""

    async def script(w: World) -> None:
        await first_deploy(w)
        w.apply("churn", spec("2"))
        await weighted(w, "2", weight)
        w.set_truth("2", errors=errors)
        await over(w, "2")

    return script


async def slow(w: World) -> None:
    """A version that answers well, but too late."""
    await first_deploy(w)
    w.set_truth("2", slow=0.6)
    latency = {"name": "latency", "type": "Latency", "max": "100ms", "quantile": "0.9"}
    w.apply("churn", spec("2", metrics=[latency]))
    await started(w, "2")
    await over(w, "2")


def never_ready(start: str) -> Any:
    async def script(w: World) -> None:
        await first_deploy(w)
        w.set_truth("2", start=start)
        w.apply("churn", spec("2", deadline="10s"))
        await started(w, "2")
        await over(w, "2")

    return script


async def slow_load(w: World) -> None:
    """Slow, but not too slow."""
    await first_deploy(w)
    w.set_truth("2", load=15.0)
    w.apply("churn", spec("2"))
    await serving(w, "2")


async def dies(w: World) -> None:
    """The canary's pods end while they have traffic."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", 60)
    w.set_truth("2", start="crash")
    await over(w, "2")


async def stable_dies(w: World) -> None:
    """Stable ends, then the canary fails: nothing is moved to pods that are not there."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", 20)
    w.set_truth("1", start="crash")
    w.set_truth("2", errors=0.8)
    await w.sleep(10.0)
    w.set_truth("1", start="ok")
    await over(w, "2")


async def metrics_away(w: World) -> None:
    """A short absence of the metrics costs time, nothing else."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", 20)
    w.prometheus.away_until = w.now + 20.0
    await serving(w, "2")


async def metrics_away_for_long(w: World) -> None:
    """After two minutes the canary loses its traffic; it begins again when there are metrics."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", 20)
    w.prometheus.away_until = w.pods_silent_until = w.now + 200.0
    await serving(w, "2", 400.0)


async def only_pods_tell(w: World) -> None:
    """Prometheus never comes back; after two minutes the pods are asked themselves."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", 20)
    w.prometheus.away_until = 1e9
    await serving(w, "2", 400.0)


async def breach_in_an_outage(w: World) -> None:
    """The canary fails while Prometheus is away: what the pods tell is enough."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", 20)
    w.prometheus.away_until = 1e9
    w.set_truth("2", errors=0.6)
    await over(w, "2", 400.0)


async def quiet(w: World) -> None:
    """Without requests nothing is proven, and nothing moves; then they come."""
    await first_deploy(w)
    w.traffic.rps = 0
    w.apply("churn", spec("2"))
    await weighted(w, "2", 20)
    await w.sleep(25.0)
    if not w.faults.harsh and w.weights().get("2", 0) > 20:
        w.violation("I10", f"the weights moved without evidence: {w.weights()}")
    w.traffic.rps = 60
    await serving(w, "2")


async def zero_traffic(w: World) -> None:
    """No request ever comes: the weight stays where it is."""
    await first_deploy(w)
    w.traffic.rps = 0
    w.apply("churn", spec("2", onInsufficient={"after": "10s", "do": "Pause"}))
    await weighted(w, "2", 20)
    await w.sleep(15.0)


STALLED = {"stable": "1", "canary": "2", "failed": None, "weights": {"1": 80, "2": 20}}

SCENARIOS = (
    Scenario("breach-step-1", breach_at(20, 0.3), (rolled_back("1", "2"),)),
    Scenario("breach-step-2", breach_at(60, 0.3), (rolled_back("1", "2"),)),
    Scenario("breach-guard", breach_at(20, 1.0), (rolled_back("1", "2"),)),
    Scenario("breach-slow", slow, (rolled_back("1", "2"),)),
    Scenario("canary-no-image", never_ready("image"), (rolled_back("1", "2"),)),
    Scenario("canary-crashes", never_ready("crash"), (rolled_back("1", "2"),)),
    Scenario("canary-hangs", never_ready("hang"), (rolled_back("1", "2"),)),
    Scenario("canary-no-quota", never_ready("quota"), (rolled_back("1", "2"),)),
    Scenario("canary-slow-load", slow_load, (at_rest("2"),)),
    Scenario("canary-dies", dies, (rolled_back("1", "2"),)),
    Scenario("stable-dies", stable_dies, (rolled_back("1", "2"),)),
    Scenario("metrics-away", metrics_away, (at_rest("2"),)),
    Scenario("metrics-away-long", metrics_away_for_long, (at_rest("2"),)),
    Scenario("only-pods-tell", only_pods_tell, (at_rest("2"),)),
    Scenario("breach-in-outage", breach_in_an_outage, (rolled_back("1", "2"),)),
    Scenario("quiet", quiet, (at_rest("2"),)),
    Scenario("zero-traffic", zero_traffic, (STALLED,), loosely=(STALLED, rolled_back("1", "2"))),
)
