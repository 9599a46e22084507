"""The rules of a rollout, one sentence each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from serinus.api.status import Outcome, Stage, Verdict

from .world import SPEC, Behaviour, World, ended, weights_of


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
    "behaviour", [Behaviour(errors=0.05), Behaviour(slow=0.05)], ids=["errors", "slow"]
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


def test_what_chance_cannot_explain_is_not_waited_for() -> None:
    world = World(behaviour={"3": Behaviour(errors=0.2)}, rate=20.0).serving()
    world.model("3")
    world.run(lambda w: w.by_version() == {"1": 90, "3": 10})
    shifted = world.now
    world.run(ended)
    assert world.status.failed.reason == "MetricsBreached"
    assert "certainty" in world.status.failed.message
    assert world.status.failed.verdicts[-1].canary_requests < 50  # no slot was ever full
    assert world.now - shifted <= timedelta(seconds=30)


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
    steps = [{"weight": 10, "hold": "1h"}]
    world = World(spec={**SPEC, "rollout": {"steps": steps}}).serving()
    world.model("2")
    for _ in range(3):
        assert world.status.rollout is None or world.status.rollout.breach is None
        # Few enough bad requests between many good ones: the sequential test of the step is not certain.
        world.behaviour["2"] = Behaviour()
        world.run(lambda w: w.status.rollout is not None and w.status.rollout.healthy_slots >= 4)
        world.behaviour["2"] = Behaviour(errors=0.05)
        world.run(lambda w: w.status.rollout.breaches == 2)
    world.run(ended)
    assert world.status.failed is not None
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


def test_a_short_metrics_outage_neither_advances_nor_fails_and_the_rollout_goes_on_after_it() -> (
    None
):
    world = World().serving()
    world.model("2")
    world.run(lambda w: w.status.rollout is not None and w.status.rollout.healthy_slots == 1)
    world.source_down = True
    world.run_for(100)
    assert world.by_version() == {"1": 90, "2": 10}
    assert world.status.rollout.verdicts[-1].verdict is Verdict.UNAVAILABLE
    assert world.status.failed is None
    assert "SourceUnavailable" in world.story()
    world.source_down = False
    world.run(lambda w: w.status.stable.resolved_version == "2")
    assert weights_of(world, "2") == [0, 10, 50, 100]


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
    world = World(behaviour={"3": Behaviour(errors=0.05)}).serving()
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
    assert "5 %" in last
    assert "stable 0 %" in last
    assert "limit 1 %" in last
