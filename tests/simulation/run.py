"""One run: a scenario, a seed, faults; what came of it."""

from __future__ import annotations

import gc
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from serinus.api import names

from .faults import Faults
from .host import OPERATORS, Host, Setup
from .loop import OUTSIDE, Stalled, VirtualLoop
from .people import NAMESPACE, GaveUp
from .pods import version_of
from .world import Pace, World

Facts = Mapping[str, Any]

LATE = 50.0  # seconds after the last fault
LATE_REST = 65.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story and how it has to end, whatever goes wrong on the way.

    Attributes:
        script: what people and the world do, in order; it waits for what it needs.
        ends: the facts of which one set must be true in the end.
        limit: simulated seconds until it must have ended.
    """

    name: str
    script: Callable[[World], Awaitable[None]]
    ends: tuple[Facts, ...]
    setup: Setup = field(default_factory=Setup)
    pace: Pace = field(default_factory=Pace)
    limit: float = 600.0
    rest: int = 3  # resyncs without a write, at the end
    loosely: tuple[Facts, ...] = ()  # ends that are right too where faults may fail a revision


@dataclass(frozen=True, slots=True)
class Trouble:
    """A broken promise: an invariant's name, when, and what happened."""

    invariant: str
    t: float
    message: str


@dataclass(slots=True)
class Result:
    scenario: str
    seed: int
    events: list[dict[str, Any]]
    troubles: list[Trouble]
    faults: Counter[str]
    calls: int
    facts: Facts
    seconds: float
    names: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """The same for the same run, byte for byte."""
        sha = hashlib.sha256()
        for event in self.events:
            sha.update(line(event).encode())
        return sha.hexdigest()


def line(event: Mapping[str, Any]) -> str:
    """One event of the log as a line of JSON."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"), default=str) + "\n"


def run(scenario: Scenario, seed: int, faults: Faults | None = None) -> Result:
    """Runs to the end, and checks how it ended and what the log says."""
    gc_was_on = gc.isenabled()
    gc.disable()  # finalizers of dead processes run between runs, not within them
    loop = VirtualLoop()
    world = World(seed, scenario.pace, faults or Faults(), loop)
    world.store.namespaces[OPERATORS] = "Active"
    story = _Story(world, scenario)
    bugs: list[str] = []
    with _captured(bugs):
        try:
            loop.run_until_complete(loop.create_task(story.tell(), context=OUTSIDE.copy()))
        except Stalled:
            story.troubles.append(Trouble("L1", loop.time(), "nothing was left to run"))
        finally:
            seen = len(bugs)
            loop.discard()
            if gc_was_on:
                gc.enable()
    troubles = [Trouble(*seen) for seen in world.violations] + story.troubles
    troubles += [Trouble(v.invariant, v.t, f"{v.object}: {v.message}") for v in world.judge()]
    troubles += [Trouble("crash", loop.time(), text) for text in (*bugs[:seen], *loop.failures)]
    return Result(
        scenario.name, seed, world.events, troubles, world.counted, world.calls,
        story.facts, loop.time(),
    )  # fmt: skip


class _Story:
    """The scenario's script, then the wait for a world at rest."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self.troubles: list[Trouble] = []
        self.ends = scenario.ends
        if world.faults.harsh:
            self.ends += scenario.loosely or tuple(map(_failed_instead, scenario.ends))
        self.facts: Facts = {}
        self._astray = False  # the script did not get through, because of harsh faults

    async def tell(self) -> None:
        world, scenario = self.world, self.scenario
        world.faults.begin(world)
        world.setup = scenario.setup
        for _ in range(scenario.setup.replicas):
            Host(world, scenario.setup)
        try:
            try:
                await scenario.script(world)
            except GaveUp:
                if not world.faults.harsh:
                    raise
                self._astray = True
            await world.until(lambda: world.now >= world.faults.calm_at, 1e9, "calm")
            world.log("end", reason="calm")
            await self._rest()
        except GaveUp as e:
            self.facts = facts(world)
            self._stuck(str(e))
        world.log("end", reason="end")

    async def _rest(self) -> None:
        """Until the end is as expected and nobody has written for some resyncs."""
        world, scenario = self.world, self.scenario
        calm = world.now
        while True:
            begun = max(calm, world.last_write, *(host.started_at for host in world.hosts))
            # What was still to do after a long time was a timer: another one may follow.
            resyncs = scenario.rest * scenario.pace.resync + 1.0
            quiet_for = resyncs if begun - calm < LATE else max(resyncs, LATE_REST)
            if world.now - begun >= quiet_for and any(host.alive for host in world.hosts):
                self.facts = facts(world)
                if self._as_expected():
                    return
            if world.now - calm > scenario.limit:
                self.facts = facts(world)
                quiet = world.now - begun
                self._stuck(
                    f"after {scenario.limit:g} s, the last {quiet:.0f} s of them without a write"
                )
                return
            await world.until(lambda at=world.now + 1.0: world.now >= at, 1e9, "a second")  # type: ignore[misc]

    def _as_expected(self) -> bool:
        if any(agrees(self.facts, end) for end in self.ends):
            return True
        return self._astray and settled(self.facts)

    def _stuck(self, why: str) -> None:
        ends = " or ".join(json.dumps(end) for end in self.ends)
        text = f"{why}: {json.dumps(self.facts)}, expected {ends}"
        self.troubles.append(Trouble("L1", self.world.now, text))


def _failed_instead(end: Facts) -> Facts:
    """The same end, but for the version that was to be promoted: it failed, and version 1 stays."""
    version = end.get("stable")
    if version in {None, "1"}:
        return end
    pods = {"1": max(end["pods"].values())}
    return {
        **end,
        "phase": "RolledBack",
        "stable": "1",
        "failed": version,
        "weights": {"1": 100},
        "pods": pods,
    }


def settled(found: Facts) -> bool:
    """One version, whichever, has all of the traffic, and no other has pods."""
    if "stable" not in found:
        return found == {**found, "object": None, "left": 0}
    stable = found["stable"]
    return (
        found["canary"] is None
        and found["weights"] == {stable: 100}
        and set(found["pods"]) == {stable}
        and found["pods"][stable] > 0
    )


def agrees(found: Facts, end: Facts) -> bool:
    """Whether every fact that ``end`` names is so."""
    return all(found.get(key) == value for key, value in end.items())


def facts(world: World, name: str = "churn") -> dict[str, Any]:
    """What counts of an object's state, by model versions."""
    pods: dict[str, int] = {}
    objects = 0
    for at, item in world.store.all():
        mine = (item["metadata"].get("labels") or {}).get(names.LABEL_NAME) == name
        objects += mine
        if mine and at.plural == "deployments":
            ready = (item.get("status") or {}).get("readyReplicas", 0)
            pods[version_of(item["spec"]["template"])] = ready
    if world.cr(name) is None:
        return {"object": None, "left": objects, "namespace": world.store.namespaces.get(NAMESPACE)}
    status = world.status(name)
    return {
        "phase": status.get("phase"),
        "stable": (status.get("stable") or {}).get("resolvedVersion"),
        "canary": (status.get("canary") or {}).get("resolvedVersion"),
        "failed": (status.get("failed") or {}).get("resolvedVersion"),
        "weights": world.weights(name),
        "pods": pods,
    }


class _captured:  # noqa: N801
    """The operator's log goes nowhere, but what it calls a crash is kept."""

    def __init__(self, bugs: list[str]) -> None:
        self._bugs = bugs

    def _take(self, logger: Any, method: str, event: dict[str, Any]) -> Any:
        if method == "exception" or event.get("exc_info"):
            self._bugs.append(f"{event.get('event')}: {event.get('error')}")
        raise structlog.DropEvent

    def __enter__(self) -> None:
        self._before = structlog.get_config()
        structlog.configure(processors=[self._take])

    def __exit__(self, *exc: object) -> None:
        structlog.configure(**self._before)
