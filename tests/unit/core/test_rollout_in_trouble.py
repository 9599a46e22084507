"""The rules of a rollout when something else goes wrong at the same time, one sentence each."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from serinus.api.status import ModelDeploymentStatus, Stage
from serinus.core.decide import decide
from serinus.core.observed import Invalid
from serinus.core.plan import EnsureRoute, EnsureWorkload
from serinus.reconcile.act import stored

from .world import SPEC, Behaviour, World, ended, weights_of


def test_a_stable_without_pods_can_be_replaced_by_a_good_version() -> None:
    world = World().serving()
    world.behaviour["1"] = Behaviour(ready=False)
    world.model("2")
    world.run(lambda w: w.status.stable.resolved_version == "2")
    assert weights_of(world, "2") == [0, 10, 50, 100]


def test_a_canary_that_waits_for_pods_can_be_replaced_while_stable_has_none() -> None:
    world = World(behaviour={"2": Behaviour(ready=False)}).serving()
    world.model("2")
    world.run(lambda w: w.status.canary is not None)
    world.behaviour["1"] = Behaviour(ready=False)
    world.model("3")
    world.run(lambda w: w.status.stable.resolved_version == "3")


def test_a_ready_canary_is_not_failed_because_nobody_looked() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.status.canary is not None)
    world.now += timedelta(minutes=30)  # longer than the progress deadline; the pods are ready
    world.run(lambda w: w.status.stable.resolved_version == "2")


def scaling_for_step(step: int, **behaviour: float) -> World:
    """A canary of four pods that waits for those of a step, and then behaves like this."""
    world = World(spec={**SPEC, "server": {"replicas": 4}})
    world.behaviour["2"] = Behaviour(at_most=1 if step == 1 else 2)
    world.serving()
    world.model("2")
    world.run(
        lambda w: (
            w.status.rollout is not None
            and (w.status.rollout.stage, w.status.rollout.step) == (Stage.SCALING, step)
        )
    )
    for name, share in behaviour.items():
        setattr(world.behaviour["2"], name, share)
    return world


@pytest.mark.parametrize("step", [1, 2])
def test_a_breach_while_the_next_pods_start_raises_no_weight(step: int) -> None:
    world = scaling_for_step(step, errors=0.08)
    before = world.by_version()["2"]
    world.run_for(15)
    assert world.status.rollout.stage is Stage.HOLDING
    world.behaviour["2"].at_most = None
    world.run(ended)
    assert world.status.phase == "RolledBack"
    assert max(weights_of(world, "2")) == before


@pytest.mark.parametrize("step", [1, 2])
def test_without_metrics_while_the_next_pods_start_no_weight_is_raised(step: int) -> None:
    world = scaling_for_step(step)
    before = world.by_version()["2"]
    world.source_down = True
    world.run_for(15)
    world.behaviour["2"].at_most = None
    world.run_for(100)
    assert world.by_version()["2"] == before
    world.source_down = False
    world.run(lambda w: w.status.stable.resolved_version == "2")


def test_breaches_in_a_row_are_counted_across_a_change_of_step() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50})
    world.status = world.status.model_copy(
        update={
            "rollout": world.status.rollout.model_copy(
                update={"breaches": 2, "stage": Stage.SHIFTING}
            )
        }
    )
    world.look()
    assert (world.status.rollout.stage, world.status.rollout.breaches) == (Stage.HOLDING, 2)


def test_the_hard_guard_looks_at_the_last_interval_however_long_the_slot_is() -> None:
    spec = {**SPEC, "analysis": {**SPEC["analysis"], "minRequests": 10000}}
    world = World(spec=spec, rate=200.0).serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.run_for(200)
    world.behaviour["2"].errors = 1.0
    began = world.now
    world.run(lambda w: w.by_version() != {"1": 90, "2": 10})
    assert world.now - began <= timedelta(seconds=22)


def test_a_canary_that_fails_outright_loses_its_weight_also_when_breaches_shall_pause() -> None:
    spec = {**SPEC, "rollout": {**SPEC["rollout"], "onBreach": "Pause"}}
    world = World(spec=spec, behaviour={"3": Behaviour(errors=1.0)}).serving()
    world.model("3")
    world.run(ended)
    assert world.status.phase == "RolledBack"


def test_a_rollout_without_steps_goes_to_100_percent_when_its_pods_are_ready() -> None:
    world = World(spec={**SPEC, "rollout": {"steps": []}}).serving()
    world.model("2")
    world.run(lambda w: w.status.stable.resolved_version == "2", limit=5)


def test_a_spec_that_becomes_invalid_takes_a_running_canarys_traffic_back() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.invalid = "spec.rollout.steps: weights must rise from step to step"
    world.look()
    assert world.by_version() == {"1": 100, "2": 0}
    world.run_for(60)
    assert world.by_version() == {"1": 100, "2": 0}
    world.invalid = ""
    world.run(lambda w: w.status.stable.resolved_version == "2")


def test_a_latched_breach_is_carried_out_although_the_spec_is_invalid_by_then() -> None:
    world = World(behaviour={"3": Behaviour(errors=1.0)}).serving()
    world.model("3")
    plan = None
    for _ in range(100):
        plan = decide(world.observe(), world.now)
        if plan.status.rollout is not None and plan.status.rollout.stage is Stage.ROLLING_BACK:
            break
        world.look()
        world.pass_time()
    world.status = plan.status  # committed, and then the operator crashed
    world.invalid = "broken"
    world.look()
    assert world.by_version() == {"1": 100, "3": 0}


def test_a_status_that_cannot_be_read_stays_as_it_is_stored() -> None:
    world = World().serving()
    plan = decide(
        replace(world.observe(), status=Invalid("status.rollout.stage: unknown")), world.now
    )
    assert plan.conditions_only
    assert plan.intents == ()
    assert plan.status.conditions[0].reason == "StatusInvalid"


def test_a_status_that_was_lost_moves_no_traffic() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.status = ModelDeploymentStatus()
    world.run_for(60)
    assert world.by_version() == {"1": 90, "2": 10}
    assert world.status.conditions[0].reason == "StatusLost"
    world.weights = None  # somebody deletes the route, as the message says
    world.run(lambda w: w.by_version() == {"2": 100})


def test_the_way_back_is_the_first_write_of_a_pass() -> None:
    world = World(behaviour={"3": Behaviour(errors=1.0)}).serving()
    world.model("3")
    world.run(lambda w: w.by_version() == {"1": 90, "3": 10})
    while True:
        world.replicas = {k: n for k, n in world.replicas.items() if world.versions[k] == "1"}
        plan = world.look()
        if "RollingBack" in world.story():
            break
        world.pass_time()
    first, *rest = plan.intents
    assert isinstance(first, EnsureRoute)
    canaries = [i for i in rest if isinstance(i, EnsureWorkload) and i.arm.resolved_version == "3"]
    assert canaries == [], "what is on its way out is not made again"


def test_a_leftover_that_is_asked_for_again_is_not_removed() -> None:
    world = World(behaviour={"2": Behaviour(ready=False)}).serving()
    world.model("2")
    world.run(lambda w: len(w.replicas) == 2)
    (key,) = (k for k in world.replicas if world.versions[k] == "2")
    world.status = world.status.model_copy(update={"canary": None, "rollout": None})
    world.model("1")
    world.status = world.status.model_copy(update={"target": None})
    world.run_for(5)
    assert [r.revision for r in world.status.retiring] == [f"unknown:{key}"]
    world.model("2")
    world.run_for(60)
    assert key in world.replicas


def test_the_largest_status_stays_within_32_kib() -> None:
    bounds = {"ErrorRate": "0.01", "Latency": "250ms"}
    metrics = [
        {"name": f"{kind[0].lower()}{i:02d}" + "x" * 60, "type": kind, "max": bound}
        for i in range(8)
        for kind, bound in bounds.items()
    ]
    env = [{"name": f"MODEL_A{i:02d}" + "B" * 50, "value": "v" * 128} for i in range(16)]
    spec = {
        **SPEC,
        "server": {"replicas": 2, "env": env},
        "analysis": {**SPEC["analysis"], "metrics": metrics, "failureThreshold": 5},
    }
    world = World(spec=spec, behaviour={"2": Behaviour(errors=0.04, slow=0.04)}).serving()
    largest = 0
    for version in ("2", "3", "2", "3"):
        world.model(version)
        for _ in range(200):
            world.look()
            world.pass_time()
            largest = max(largest, len(json.dumps(stored(world.status))))
    assert 16 * 1024 < largest <= 32 * 1024


def test_a_canary_that_nobody_asks_for_any_more_is_not_raised_while_stable_cannot_take_its_traffic() -> (
    None
):
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.behaviour["1"] = Behaviour(ready=False)
    world.model("3")
    world.run_for(120)
    assert world.by_version() == {"1": 90, "2": 10}
    assert world.status.rollout.pause_reasons[0].reason == "StableNotReady"
    world.behaviour["1"] = Behaviour()
    world.run(lambda w: w.status.stable.resolved_version == "3")
    assert weights_of(world, "2") == [0, 10, 0]


def test_an_edit_of_model_and_server_at_once_makes_no_revision_of_the_old_model_and_the_new_server() -> (
    None
):
    world = World(unregistered={"2"}).serving()
    revisions = set(world.versions)
    world.model("2")
    world.spec["server"] = {"replicas": 2, "env": [{"name": "OMP_NUM_THREADS", "value": "2"}]}
    world.run_for(60)
    assert set(world.versions) == revisions
    world.unregistered.clear()
    world.run(lambda w: w.status.stable.resolved_version == "2")
    assert len(world.versions) == 2


def test_a_revision_that_is_tried_again_starts_with_pods_of_its_own() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.model("1")
    world.run(ended)
    left, old = world.now, next(key for key, v in world.versions.items() if v == "2")
    world.model("2")
    world.run(lambda w: old not in w.replicas)
    assert timedelta(seconds=20) <= world.now - left <= timedelta(seconds=22)  # they drain first
    world.run(lambda w: w.status.stable.resolved_version == "2")


def test_a_revision_that_is_tried_again_waits_for_the_end_of_its_old_service_too() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.model("1")
    world.run(ended)
    world.model("2")
    old = next(key for key, version in world.versions.items() if version == "2")
    world.replicas.pop(old)  # the delete of the Deployment has arrived, that of the Service has not
    world.look()
    assert world.status.canary is None
    world.run(lambda w: w.status.stable.resolved_version == "2")
