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
        "progressDeadline": changes.pop("deadline", "60s"),
        "scaleDownDelay": changes.pop("delay", "2s"),
        **changes.pop("rollout", {}),
    }
    uri = version if ":" in version else f"models:/churn/{version}"
    return {
        "model": {"uri": uri},
        "server": {"replicas": changes.pop("replicas", 2), **changes.pop("server", {})},
        "traffic": {"hostnames": ["churn.example"]},
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
    """Until a version's weight in the route is at least this, and not because somebody else wrote it."""
    await w.until(
        lambda: min(w.weights().get(version, 0), w.requested(version)) >= weight,
        limit,
        f"{weight} % for version {version}",
    )


async def started(w: World, version: str, limit: float = LIMIT) -> None:
    """Until a version is the canary."""
    await w.until(
        lambda: (w.status().get("canary") or {}).get("resolvedVersion") == version,
        limit,
        f"a rollout of version {version}",
    )


async def over(w: World, version: str, limit: float = LIMIT) -> None:
    """Until a version, stopped or given up, has no traffic and no rollout any more."""
    await w.until(
        lambda: not w.weights().get(version) and not w.status().get("rollout"),
        limit,
        f"the end of version {version}",
    )


def at_rest(version: str, pods: int = 2, **more: Any) -> dict[str, Any]:
    """One version alone, with all of its pods."""
    return {
        "phase": "Ready", "stable": version, "canary": None, "weights": {version: 100},
        "pods": {version: pods}, **more,
    }  # fmt: skip


def rolled_back(stable: str, failed: str, pods: int = 2, **more: Any) -> dict[str, Any]:
    """The stable version alone, and another one that failed."""
    return {**at_rest(stable, pods), "phase": "RolledBack", "failed": failed, **more}


GONE = {"object": None, "left": 0}


async def first_deploy(w: World) -> None:
    w.apply("churn", spec("1"))
    await serving(w, "1")


async def happy_path(w: World) -> None:
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await serving(w, "2")


async def broken_first(w: World) -> None:
    w.set_truth("1", start="image")
    w.apply("churn", spec("1"))
    await w.until(
        lambda: bool((w.status().get("stable") or {}).get("revision")), LIMIT, "a first revision"
    )
    await w.sleep(3.0)
    w.apply("churn", spec("2"))
    await serving(w, "2")


async def no_steps(w: World) -> None:
    await first_deploy(w)
    w.apply("churn", spec("2", steps=()))
    await serving(w, "2")


async def scaled(w: World) -> None:
    """Replicas and steps may change at any time; no rollout starts by it."""
    await first_deploy(w)
    w.apply("churn", spec("1", replicas=3))
    await w.sleep(4.0)
    w.apply("churn", spec("2", replicas=3))
    await weighted(w, "2", 20)
    w.apply("churn", spec("2", replicas=4, steps=((20, "2s"), (40, "2s"), (60, "2s"))))
    await serving(w, "2")


async def moved_alias(w: World) -> None:
    """What an alias stood for when it was first seen is what it stands for."""
    w.registry.aliases["champion"] = "1"
    w.apply("churn", spec("models:/churn@champion"))
    await serving(w, "1")
    w.registry.aliases["champion"] = "3"
    await w.sleep(12.0)
    w.apply("churn", spec("2"))
    await serving(w, "2")


async def registry_away(w: World) -> None:
    await first_deploy(w)
    w.registry.away_until = w.now + 12.0
    w.apply("churn", spec("2"))
    await serving(w, "2")


async def registry_away_with_more(w: World) -> None:
    """Model and environment change in one edit while the registry is away: nobody asked for a mixture."""
    await first_deploy(w)
    w.registry.away_until = w.now + 8.0
    threads = {"env": [{"name": "OMP_NUM_THREADS", "value": "2"}]}
    w.apply("churn", spec("2", server=threads))
    await w.sleep(6.0)
    if w.status().get("canary"):
        w.violation("I11", "a revision is rolled out that nobody asked for")
    await serving(w, "2")


async def rivals(w: World) -> None:
    """Two objects with the same address: the first has it, until it is gone."""
    await first_deploy(w)
    w.apply("other", spec("9"))
    await w.sleep(8.0)
    if w.weights("other"):
        w.violation("I14", "two routes answer at one address")
    w.delete("churn")
    await w.until(lambda: w.weights("other") == {"9": 100}, LIMIT, "the address for the other")
    w.apply("churn", spec("2"))
    await w.sleep(8.0)
    if w.weights():
        w.violation("I14", "two routes answer at one address")
    w.delete("other")
    await serving(w, "2")


async def many(w: World) -> None:
    """Several objects at once, which share workers and nothing else."""
    for number in range(4):
        made = {**spec("1"), "traffic": {"hostnames": [f"m{number}.example"]}}
        w.apply("churn" if number == 0 else f"model-{number}", made)
    await serving(w, "1")
    for number in range(4):
        made = {**spec("2"), "traffic": {"hostnames": [f"m{number}.example"]}}
        w.apply("churn" if number == 0 else f"model-{number}", made)
    for name in ("model-1", "model-2", "model-3", "churn"):
        await w.until(
            lambda name=name: w.weights(name) == {"2": 100} and not w.stage(name),  # type: ignore[misc]
            LIMIT,
            f"version 2 of {name}",
        )


SCENARIOS = (
    Scenario("first-deploy", first_deploy, (at_rest("1"),)),
    Scenario("happy-path", happy_path, (at_rest("2"),)),
    Scenario("broken-first", broken_first, (at_rest("2"),)),
    Scenario("no-steps", no_steps, (at_rest("2"),)),
    Scenario("scaled", scaled, (at_rest("2", 4),)),
    Scenario("moved-alias", moved_alias, (at_rest("2"),)),
    Scenario("registry-away", registry_away, (at_rest("2"),)),
    Scenario("registry-away-with-more", registry_away_with_more, (at_rest("2"),)),
    Scenario("rivals", rivals, (at_rest("2"),)),
    Scenario("many", many, (at_rest("2"),)),
)
