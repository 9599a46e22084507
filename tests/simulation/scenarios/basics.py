"""What happens every day: a first deploy, a version that is fine."""

from __future__ import annotations

from typing import Any

from ..run import Scenario
from ..world import World

LIMIT = 120.0


def spec(version: str, **changes: Any) -> dict[str, Any]:
    """A spec in a hurry: two steps of two seconds, judged every second.

    ``changes``: steps, replicas, deadline, delay, and any field of ``analysis`` or ``rollout``.
    """
    steps = changes.pop("steps", ((20, "2s"), (60, "2s")))
    rollout = {
        "steps": [{"weight": weight, "hold": hold} for weight, hold in steps],
        "progressDeadline": changes.pop("deadline", "20s"),
        "scaleDownDelay": changes.pop("delay", "2s"),
        **changes.pop("rollout", {}),
    }
    uri = version if ":" in version else f"models:/churn/{version}"
    return {
        "model": {"uri": uri},
        "server": {"replicas": changes.pop("replicas", 2)},
        "rollout": rollout,
        "analysis": {"interval": "1s", "failureThreshold": 2, "minRequests": 5, **changes},
    }


async def serving(w: World, version: str, limit: float = LIMIT) -> None:
    """Until a version has all of the traffic and nothing rolls out."""
    await w.until(
        lambda: w.weights() == {version: 100} and not w.status().get("rollout"),
        limit,
        f"version {version} alone",
    )


async def weighted(w: World, version: str, weight: int, limit: float = LIMIT) -> None:
    """Until a version's weight in the route is at least this."""
    await w.until(
        lambda: w.weights().get(version, 0) >= weight, limit, f"{weight} % for version {version}"
    )


def at_rest(version: str, pods: int = 2, **more: Any) -> dict[str, Any]:
    """One version alone, with all of its pods."""
    return {
        "phase": "Ready", "stable": version, "canary": None, "weights": {version: 100},
        "pods": {version: pods}, **more,
    }  # fmt: skip


async def first_deploy(w: World) -> None:
    w.apply("churn", spec("1"))
    await serving(w, "1")


async def happy_path(w: World) -> None:
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await serving(w, "2")


SCENARIOS = (
    Scenario("first-deploy", first_deploy, (at_rest("1"),)),
    Scenario("happy-path", happy_path, (at_rest("2"),)),
)
