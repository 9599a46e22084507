"""The rules of a rollout, one sentence each."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from world import SPEC, Behaviour, World

from serinus.api.status import ModelDeploymentStatus, Outcome, Stage, Verdict
from serinus.core.decide import decide
from serinus.core.observed import Invalid
from serinus.core.plan import EnsureRoute, EnsureWorkload
from serinus.reconcile.act import stored


def ended(world: World) -> bool:
    return world.status.rollout is None and world.status.phase in {"Ready", "RolledBack"}


def weights_of(world: World, version: str) -> list[int]:
    """Distinct weights of a version, in the order in which the route had them."""
    out: list[int] = []
    for weights in world.trace:
        weight = (weights or {}).get(version, 0)
        if not out or out[-1] != weight:
            out.append(weight)
    return out


def test_the_first_revision_goes_straight_to_100_percent() -> None:
    world = World().serving()
    assert world.status.rollout is None
    assert weights_of(world, "1") == [0, 100]
    assert (world.now - world.status.stable_since) < timedelta(seconds=5)


def test_the_first_revision_gets_no_traffic_before_a_pod_is_ready() -> None:
    world = World(behaviour={"1": Behaviour(ready=False)})
    world.run_for(30)
    assert world.weights is None
    assert world.status.phase == "Initializing"
    world.behaviour["1"].ready = True
    world.serving()


def test_a_first_revision_that_is_never_ready_is_failed_and_recovers_when_its_pods_do() -> None:
    world = World(behaviour={"1": Behaviour(ready=False)})
    world.run(lambda w: w.status.phase == "Failed", limit=130)
    world.behaviour["1"].ready = True
    world.serving()


def test_a_first_revision_that_is_not_ready_gives_way_to_a_new_spec() -> None:
    world = World(behaviour={"1": Behaviour(ready=False)})
    world.run_for(5)
    world.model("2")
    world.run(lambda w: w.by_version() == {"2": 100})
    world.run(lambda w: len(w.replicas) == 1)


def test_a_good_canary_takes_every_step_and_is_promoted_in_place() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.status.canary is not None)
    canary = world.status.canary.revision
    world.run(lambda w: ended(w) and w.status.stable.resolved_version == "2")
    assert weights_of(world, "2") == [0, 10, 50, 100]
    assert world.status.stable.revision == canary, "the same revision, so the same Deployment"
    assert world.status.history[-1].outcome is Outcome.PROMOTED


def test_a_step_lasts_at_least_its_hold() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    began = world.now
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50})
    assert world.now - began >= timedelta(seconds=30)


def test_stable_keeps_full_scale_until_the_old_one_is_removed_after_the_delay() -> None:
    world = World().serving()
    (old,) = world.replicas
    world.model("2")
    world.run(lambda w: w.status.stable.resolved_version == "2")
    promoted = world.now
    assert world.replicas[old] == 2
    world.run(lambda w: old not in world.replicas)
    assert world.now - promoted >= timedelta(seconds=20)


def test_the_clock_of_a_step_starts_when_the_router_has_confirmed_the_weight() -> None:
    world = World().serving()
    world.model("2")
    world.confirmed = False
    world.run(lambda w: w.status.rollout is not None and w.status.rollout.stage is Stage.SHIFTING)
    world.run_for(60)
    assert world.status.rollout.step_started_at is None
    world.confirmed = True
    world.run(lambda w: w.status.rollout.stage is Stage.HOLDING)
    assert world.status.rollout.step_started_at == world.now


def test_a_weight_that_the_router_never_confirms_fails_the_revision_at_the_deadline() -> None:
    world = World().serving()
    world.model("2")
    world.confirmed = False
    world.run(lambda w: w.status.rollout is not None and w.status.rollout.breach is not None)
    assert world.status.rollout.breach.reason == "RouteNotConfirmed"
    assert world.by_version() == {"1": 100, "2": 0}


def test_no_weight_is_written_before_the_pods_of_the_step_are_ready() -> None:
    world = World(behaviour={"2": Behaviour(ready=False)}).serving()
    world.model("2")
    world.run_for(60)
    assert world.by_version() == {"1": 100}
    assert world.status.rollout.stage is Stage.SCALING


def test_a_canary_that_is_never_ready_fails_at_the_progress_deadline() -> None:
    world = World(behaviour={"2": Behaviour(ready=False)}).serving()
    world.model("2")
    world.run(ended)
    assert world.status.phase == "RolledBack"
    assert world.status.failed.reason == "ProgressDeadlineExceeded"
    assert weights_of(world, "2") == [0]


@pytest.mark.parametrize(
    "behaviour", [Behaviour(errors=0.08), Behaviour(slow=0.2)], ids=["errors", "slow"]
)
def test_three_breached_slots_in_a_row_take_the_traffic_back(behaviour: Behaviour) -> None:
    world = World(behaviour={"3": behaviour}).serving()
    world.model("3")
    world.run(ended)
    assert world.status.phase == "RolledBack"
    assert world.by_version() == {"1": 100}
    assert world.story().count("SlotBreached") == 3
    failed = world.status.failed
    assert failed.reason == "MetricsBreached"
    assert failed.weight_zero_at - failed.first_breach_at <= timedelta(seconds=22)
    world.run(lambda w: len(w.replicas) == 1)


def test_a_failed_revision_is_not_tried_again() -> None:
    world = World(behaviour={"3": Behaviour(errors=0.5)}).serving()
    world.model("3")
    world.run(ended)
    before = world.story().count("RolloutStarted")
    world.behaviour["3"].errors = 0.0
    world.run_for(600)
    assert world.story().count("RolloutStarted") == before


def test_another_revision_is_tried_after_a_failed_one() -> None:
    world = World(behaviour={"3": Behaviour(errors=0.5)}).serving()
    world.model("3")
    world.run(ended)
    world.model("4")
    world.run(lambda w: w.status.stable.resolved_version == "4")


def test_half_of_the_requests_failing_needs_no_further_slots() -> None:
    world = World(behaviour={"3": Behaviour(errors=0.6)}).serving()
    world.model("3")
    world.run(ended)
    assert world.status.failed.reason == "CanaryFailing"
    assert world.story().count("SlotBreached") == 1


def test_a_canary_without_a_ready_pod_loses_its_weight_at_once() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.behaviour["2"].ready = False
    world.look()
    assert world.by_version() == {"1": 100, "2": 0}
    assert world.status.rollout.breach.reason == "CanaryNotReady"


def test_a_breached_slot_restarts_the_hold() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.status.rollout is not None and w.status.rollout.healthy_slots == 2)
    world.behaviour["2"].errors = 0.08
    world.run(lambda w: w.status.rollout.breaches == 1)
    breached = world.now
    world.behaviour["2"].errors = 0.0
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50})
    assert world.now - breached >= timedelta(seconds=30)


def test_a_healthy_slot_resets_consecutive_breaches_but_twice_the_threshold_in_a_step_is_too_many() -> (
    None
):
    world = World().serving()
    world.model("2")
    while world.status.failed is None:
        world.behaviour["2"] = Behaviour(errors=0.08)
        world.run(
            lambda w: (
                w.status.failed is not None
                or w.status.rollout.breaches == 2
                or w.status.rollout.breach
            )
        )
        if world.status.failed or world.status.rollout.breach:
            break
        world.behaviour["2"] = Behaviour()
        world.run(lambda w: w.status.rollout.breaches == 0)
    world.run(ended)
    assert world.story().count("SlotBreached") == 6


def test_without_enough_requests_the_canary_neither_advances_nor_fails() -> None:
    world = World(rate=1.0).serving()
    world.model("2")
    world.run_for(300)
    assert world.by_version() == {"1": 90, "2": 10}
    assert {v.verdict for v in world.status.rollout.verdicts} == {Verdict.INSUFFICIENT}
    assert world.status.failed is None


def test_quiet_traffic_fills_a_slot_over_several_intervals() -> None:
    world = World(rate=20.0).serving()  # 2/s for the canary: 25 s for 50 requests
    world.model("2")
    world.run(lambda w: w.status.rollout is not None and w.status.rollout.healthy_slots == 1)
    verdict = world.status.rollout.verdicts[-1]
    assert verdict.canary_requests >= 50
    assert world.status.rollout.slot_started_at == verdict.at


def test_a_metrics_outage_neither_advances_nor_fails_and_the_rollout_goes_on_after_it() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.status.rollout is not None and w.status.rollout.healthy_slots == 1)
    world.source_down = True
    world.run_for(300)
    assert world.by_version() == {"1": 90, "2": 10}
    assert world.status.rollout.verdicts[-1].verdict is Verdict.UNAVAILABLE
    assert world.status.failed is None
    assert "SourceUnavailable" in world.story()
    world.source_down = False
    world.run(lambda w: w.status.stable.resolved_version == "2")


def test_a_new_spec_in_mid_canary_takes_the_old_canarys_weight_first() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.model("3")
    world.run(lambda w: w.status.stable.resolved_version == "3")
    assert all("3" not in (t or {}) or not (t or {}).get("2") for t in world.trace)
    assert [entry.outcome for entry in world.status.history] == [
        Outcome.SUPERSEDED,
        Outcome.PROMOTED,
    ]


def test_going_back_to_stable_in_mid_canary_takes_no_steps() -> None:
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.model("1")
    began = world.now
    world.run(lambda w: w.by_version() == {"1": 100} and ended(w))
    assert world.now - began <= timedelta(seconds=3)
    assert world.status.stable.resolved_version == "1"
    assert world.status.phase == "Ready"


def test_a_breach_waits_for_people_when_the_spec_says_pause() -> None:
    spec = {**SPEC, "rollout": {**SPEC["rollout"], "onBreach": "Pause"}}
    world = World(spec=spec, behaviour={"3": Behaviour(errors=0.08)}).serving()
    world.model("3")
    world.run(lambda w: w.status.phase == "Paused")
    world.run_for(120)
    assert world.by_version() == {"1": 90, "3": 10}
    world.spec = {**world.spec, "rollout": {**SPEC["rollout"], "onBreach": "Rollback"}}
    world.run(ended)
    assert world.status.phase == "RolledBack"


def test_traffic_is_not_moved_to_a_stable_without_ready_pods() -> None:
    world = World(behaviour={"3": Behaviour(errors=0.5)}).serving()
    world.model("3")
    world.run(lambda w: w.by_version() == {"1": 90, "3": 10})
    world.behaviour["1"].ready = False
    world.run_for(120)
    assert world.by_version() == {"1": 90, "3": 10}
    assert any(c.reason == "StableNotReady" for c in world.status.conditions)
    assert world.story().count("StableNotReady") == 1
    world.behaviour["1"].ready = True
    world.run(ended)
    assert world.status.phase == "RolledBack"
    assert world.status.failed.reason == "CanaryFailing", "what happened, not what it waited for"


@pytest.mark.parametrize(
    "change",
    [
        {"rollout": {"steps": [{"weight": 1}]}},
        {"analysis": {"interval": "1s"}},
        {"server": {"replicas": 5}},
        {"traffic": {"path": "/churn"}},
    ],
    ids=lambda c: next(iter(c)),
)
def test_changing_anything_but_the_model_and_its_server_starts_no_rollout(change: dict) -> None:
    world = World().serving()
    world.spec = {**world.spec, **change}
    world.run_for(60)
    assert "RolloutStarted" not in world.story()


@pytest.mark.parametrize(
    "change",
    [{"image": "repo/server:2"}, {"env": [{"name": "OMP_NUM_THREADS", "value": "1"}]}],
    ids=lambda c: next(iter(c)),
)
def test_changing_what_the_pods_run_starts_a_rollout(change: dict) -> None:
    world = World().serving()
    world.spec = {**world.spec, "server": {**world.spec["server"], **change}}
    world.run(lambda w: "Promoted" in w.story())


def test_a_model_that_cannot_be_resolved_changes_nothing_but_a_condition() -> None:
    world = World(unregistered={"9"}).serving()
    world.model("9")
    world.run_for(60)
    assert world.by_version() == {"1": 100}
    condition = next(c for c in world.status.conditions if c.type == "ModelResolved")
    assert (condition.status, condition.reason) == ("False", "ModelNotFound")


def test_at_rest_nothing_is_written() -> None:
    world = World().serving()
    world.model("2")
    world.run(
        lambda w: w.status.stable.resolved_version == "2" and not w.status.retiring and ended(w)
    )
    world.run_for(5)
    before = world.writes
    world.run_for(300)
    assert world.writes == before


def test_the_story_of_a_promotion_and_of_a_rollback_reads_without_logs() -> None:
    world = World(behaviour={"3": Behaviour(errors=0.08)}).serving()
    world.model("2")
    world.run(lambda w: w.status.stable.resolved_version == "2" and ended(w))
    world.model("3")
    world.run(ended)
    assert world.story() == [
        "Pinned", "Initializing", "Serving",
        "Pinned", "RolloutStarted", "WeightChanged", "WeightChanged", "WeightChanged", "Promoted",
        "Pinned", "RolloutStarted", "WeightChanged",
        "SlotBreached", "SlotBreached", "SlotBreached", "RollingBack", "RolledBack",
    ]  # fmt: skip
    last = world.events[-2].message
    assert "8 %" in last
    assert "stable 0 %" in last
    assert "limit 1 %" in last


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
    env = [{"name": f"MODEL_A{i:02d}" + "B" * 50, "value": "v" * 256} for i in range(16)]
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
