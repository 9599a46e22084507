"""The operator itself changes: other releases, two processes, writers who are none of ours."""

from __future__ import annotations

from dataclasses import replace

from serinus.api import names

from ..host import Setup
from ..people import NAMESPACE
from ..run import Scenario
from ..store import Address
from ..world import World
from .basics import (
    at_rest,
    first_deploy,
    happy_path,
    over,
    rolled_back,
    serving,
    spec,
    weighted,
)  # fmt: skip
from .changes import mid_canary

ALONE = Setup()
PAIR = Setup(replicas=2, lease=True)


async def upgraded(w: World) -> None:
    """Another release in the middle of a canary, and back: nothing restarts, no weight moves."""
    await mid_canary(w)
    w.deploy_operator(replace(w.setup, image="server:2"))
    await w.sleep(1.0 + 3.0 * w.rng.random())
    w.deploy_operator(replace(w.setup, image="server:1"))
    await serving(w, "2")


async def upgraded_at_rest(w: World) -> None:
    await first_deploy(w)
    w.deploy_operator(replace(w.setup, image="server:2"))
    await w.sleep(12.0)
    w.deploy_operator(replace(w.setup, image="server:1"))
    await w.sleep(12.0)


async def upgraded_between(w: World) -> None:
    """B, back to A, another release, B again while B's old pods are still there: admitted bytes are served."""
    await first_deploy(w)
    w.apply("churn", spec("2", delay="30s"))
    await weighted(w, "2", 20)
    w.apply("churn", spec("1", delay="30s"))
    await over(w, "2")
    w.deploy_operator(replace(w.setup, image="server:2"))
    await w.sleep(3.0)
    w.apply("churn", spec("2", delay="2s"))
    await serving(w, "2")


async def breach_with_a_pair(w: World) -> None:
    """The leader crashes while the canary fails; the other takes it back."""
    await mid_canary(w)
    w.set_truth("2", errors=0.5)
    leader = next(h for h in w.hosts if h.leading)
    leader.crash()
    await w.until(lambda: w.weights() == {"1": 100}, 90.0, "the way back")


async def frozen_leader(w: World) -> None:
    """The leader stands still, another one takes over; the first wakes up in the middle of a pass."""
    await mid_canary(w)
    leader = next(h for h in w.hosts if h.leading)
    leader.freeze()
    w.set_truth("2", errors=0.5)
    await w.sleep(16.0 + 20.0 * w.rng.random())
    leader.thaw()
    await w.until(lambda: w.weights() == {"1": 100}, 90.0, "the way back")


async def foreign_weights(w: World) -> None:
    """Somebody moves the weights by hand in the middle of a step."""
    await mid_canary(w)
    at = Address("httproutes", NAMESPACE, "churn")
    route = w.store.get(at)
    if route is not None:
        rule = route["spec"]["rules"][0]
        refs = [{**ref, "weight": 50} for ref in rule["backendRefs"]]
        w.fault("foreign weights")
        w.write("foreign", "patch", at, {"spec": {"rules": [{**rule, "backendRefs": refs}]}})
    await serving(w, "2", 900.0)


async def deleted_children(w: World) -> None:
    """What is deleted by hand comes back."""
    await first_deploy(w)
    await w.sleep(6.0)
    for plural in ("services", "httproutes", "deployments"):
        for item in list(w.store.list(plural, NAMESPACE, {})):
            w.fault(f"foreign delete {plural}")
            w.write("foreign", "delete", Address(plural, NAMESPACE, item["metadata"]["name"]))
        await w.sleep(8.0)
    await serving(w, "1")


async def somebody_elses(w: World) -> None:
    """The route's name is taken by somebody else's object: it is left alone."""
    at = Address("httproutes", NAMESPACE, "churn")
    foreign = {"metadata": {"labels": {"team": "other"}}, "spec": {"rules": [{}]}}
    w.write("foreign", "create", at, foreign)
    w.apply("churn", spec("1"))
    await w.sleep(20.0)
    live = w.store.get(at)
    # Where others write to everything the checker alone can tell whose doing it was.
    if not w.faults.harsh and (live is None or live["spec"] != foreign["spec"]):
        w.violation("I14", "an object of somebody else was changed")
    w.write("foreign", "delete", at)
    await serving(w, "1")


async def status_lost(w: World) -> None:
    """Somebody wipes the status: nothing is guessed from what is left of it, and nothing moves."""
    await first_deploy(w)
    w.fault("foreign status")
    w.write(
        "foreign", "patch", Address(names.PLURAL, NAMESPACE, "churn"), {"status": None}, "status"
    )
    await w.sleep(15.0)
    if not w.faults.harsh and w.weights() != {"1": 100}:
        w.violation("I5", f"the weights moved without a status: {w.weights()}")
    w.write("foreign", "delete", Address("httproutes", NAMESPACE, "churn"))
    await serving(w, "1")


SCENARIOS = (
    Scenario("upgraded", upgraded, (at_rest("2"),)),
    Scenario("upgraded-at-rest", upgraded_at_rest, (at_rest("1"),)),
    Scenario("upgraded-between", upgraded_between, (at_rest("2"),)),
    Scenario("pair", happy_path, (at_rest("2"),), setup=PAIR),
    Scenario("pair-upgraded", upgraded, (at_rest("2"),), setup=PAIR),
    Scenario("pair-breach", breach_with_a_pair, (rolled_back("1", "2"),), setup=PAIR),
    Scenario("pair-frozen", frozen_leader, (rolled_back("1", "2"),), setup=PAIR),
    Scenario("foreign-weights", foreign_weights, (at_rest("2"), rolled_back("1", "2"))),
    Scenario("deleted-children", deleted_children, (at_rest("1"),)),
    Scenario("status-lost", status_lost, (at_rest("1"),)),
    Scenario("somebody-elses", somebody_elses, (at_rest("1"),)),
)
