"""Runs for mutants: the simulation's scenarios, and a few that only a bug makes worth telling."""

from __future__ import annotations

from tests.simulation.campaign import Case
from tests.simulation.client import Call, CallFault
from tests.simulation.faults import Faults, make
from tests.simulation.faults.calls import one
from tests.simulation.run import Result, Scenario, run
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.scenarios.basics import (
    GONE,
    at_rest,
    first_deploy,
    over,
    rolled_back,
    serving,
    spec,
    weighted,
)
from tests.simulation.store import Address
from tests.simulation.world import NAMESPACE, Pace, World

DEFAULTS = {"model": {"uri": "models:/churn/2"}, "traffic": {"hostnames": ["churn.example"]}}


async def abort_in_a_long_hold(w: World) -> None:
    """Nothing but the abort ends this step."""
    await first_deploy(w)
    w.apply("churn", spec("2", steps=((20, "500s"),)))
    await weighted(w, "2", 20)
    await w.sleep(5.0)
    w.command("churn", "abort", w.revision("2"))
    await over(w, "2", 60.0)


async def breach_at_the_defaults(w: World) -> None:
    """Half of all answers are errors, with the spec that says nothing of how it is judged."""
    await first_deploy(w)
    w.apply("churn", DEFAULTS)
    await weighted(w, "2", 5)
    w.set_truth("2", errors=0.4)
    await over(w, "2", 120.0)


async def a_long_hold(w: World) -> None:
    """One step, much longer than the evidence needs."""
    await first_deploy(w)
    w.apply("churn", spec("2", steps=((50, "12s"),)))
    await serving(w, "2")


async def a_short_breach(w: World) -> None:
    """Errors for a second late in a long hold: a slot breaches, the whole of the step does not."""
    await first_deploy(w)
    w.apply("churn", spec("2", steps=((50, "60s"),), failureThreshold=20))
    await weighted(w, "2", 50)
    await w.sleep(45.0)
    w.set_truth("2", errors=0.4)
    await w.sleep(1.0)
    w.set_truth("2", errors=0.0)
    await serving(w, "2", 240.0)


async def other_steps(w: World) -> None:
    """The steps are others by the time when the pods for the next one are ready."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await w.until(
        lambda: w.stage() == "Scaling" and w.weights().get("2") == 20, 60.0, "pods for a next step"
    )
    w.apply("churn", spec("2", steps=((30, "2s"), (60, "2s"))))
    await serving(w, "2")


async def a_trickle(w: World) -> None:
    """Few requests come: evidence takes much longer than the hold."""
    await first_deploy(w)
    w.apply("churn", spec("2", minRequests=40))
    w.traffic.rps = 6
    await serving(w, "2", 400.0)


async def another_spec_while_stable_is_down(w: World) -> None:
    """Nobody wants version 2 any more, but its traffic cannot be moved yet."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", 20)
    w.set_truth("1", start="crash")
    await w.sleep(1.0)
    w.apply("churn", spec("3"))
    await w.sleep(15.0)
    w.set_truth("1", start="ok")
    await serving(w, "3")


async def deleted_after_a_change(w: World) -> None:
    """An old revision has been removed, then the object is."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await serving(w, "2")
    await w.sleep(5.0)
    w.delete("churn")
    await w.sleep(65.0)


async def first_pods_die(w: World) -> None:
    """The first pods end just when they were to get their traffic."""
    w.apply("churn", spec("1"))
    await w.until(
        lambda: (w.status().get("stable") or {}).get("requestedWeight") == 100, 60.0, "the commit"
    )
    w.set_truth("1", start="crash")
    await w.sleep(8.0)
    w.set_truth("1", start="ok")
    await serving(w, "1")


async def service_deleted(w: World) -> None:
    """One Service goes, and nothing else."""
    await first_deploy(w)
    (service,) = w.store.list("services", NAMESPACE, {})
    w.fault("foreign delete services")
    w.write("foreign", "delete", Address("services", NAMESPACE, service["metadata"]["name"]))
    await w.sleep(60.0)


async def made_again(w: World) -> None:
    """Deleted and made again at once, the same in every word: the names of all children are taken."""
    await first_deploy(w)
    w.delete("churn")
    await w.sleep(0.1)
    w.apply("churn", spec("1"))
    await serving(w, "1")


async def parade(w: World) -> None:
    """Nine specs, each given up for the next."""
    await first_deploy(w)
    for version in map(str, range(2, 10)):
        w.apply("churn", spec(version))
        await weighted(w, version, 20)
    w.apply("churn", spec("1"))
    await over(w, "9")


async def many_metrics(w: World) -> None:
    """As many bounds as a spec may have, with names as long as they may be, for a long hold."""
    await first_deploy(w)
    metrics = [
        {"name": f"{'errors-that-nobody-can-count-any-more-' * 2}"[:58] + f"-{i}", **bound}
        for i, bound in enumerate([{"type": "ErrorRate", "max": "0.5"}] * 16)
    ]
    w.apply("churn", spec("2", steps=((50, "15s"),), metrics=metrics))
    await serving(w, "2")


STORIES = {
    story.name: story
    for story in (
        Scenario("abort-in-a-long-hold", abort_in_a_long_hold, (rolled_back("1", "2"),)),
        Scenario(
            "breach-at-the-defaults",
            breach_at_the_defaults,
            (rolled_back("1", "2"),),
            pace=Pace(resync=30.0, scrape=10.0, rps=500),
        ),
        Scenario("a-long-hold", a_long_hold, (at_rest("2"),)),
        Scenario("other-steps", other_steps, (at_rest("2"),)),
        Scenario("a-trickle", a_trickle, (at_rest("2"),)),
        Scenario(
            "another-spec-while-stable-is-down", another_spec_while_stable_is_down, (at_rest("3"),)
        ),
        Scenario("deleted-after-a-change", deleted_after_a_change, (GONE,)),
        Scenario("a-short-breach", a_short_breach, (at_rest("2"),)),
        Scenario("first-pods-die", first_pods_die, (at_rest("1"),)),
        Scenario("service-deleted", service_deleted, (at_rest("1"),)),
        Scenario("made-again", made_again, (at_rest("1"),)),
        Scenario("parade", parade, (at_rest("1"),)),
        Scenario("many-metrics", many_metrics, (at_rest("2"),)),
    )
}


class LateRaise(Faults):
    """The first write that gives a canary more than half of the traffic is on its way for 25 s."""

    calm_at = 60.0
    _done = False

    def on_call(self, call: Call) -> CallFault | None:
        if self._done or call.at.plural != "httproutes" or call.verb != "patch":
            return None
        refs = call.body["spec"]["rules"][0]["backendRefs"]
        if not any(50 < ref["weight"] < 100 for ref in refs):
            return None
        self._done = True
        return one("late")


class CrashAtServing(Faults):
    """The operator crashes when it has committed that the first revision gets its traffic."""

    calm_at = 5.0
    _done = False

    def on_call(self, call: Call) -> CallFault | None:
        if self._done or not call.sub or call.verb != "patch":
            return None
        if (call.body["status"].get("stable") or {}).get("requestedWeight") != 100:
            return None
        self._done = True
        return one("after-commit")


OURS = {"late-raise": LateRaise, "crash-at-serving": CrashAtServing}


def tell(scenario: str, seed: int, faults: str) -> Result:
    """Runs one of ours, or one of the simulation's, with the faults of a recipe or our own."""
    story = STORIES.get(scenario)
    if faults in OURS:
        return run(story or SCENARIOS[scenario], seed, OURS[faults]())
    if story is None:
        return Case(scenario, seed, faults).run()
    return run(story, seed, make(faults, seed))
