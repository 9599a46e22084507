"""No metric source answers: two minutes of patience, then the canary waits without traffic."""

from __future__ import annotations

from serinus.api.status import Stage, Verdict

from .world import World, ended, weights_of


def in_the_first_hold() -> World:
    world = World().serving()
    world.model("2")
    return world.run(lambda w: w.status.rollout is not None and w.status.rollout.healthy_slots == 1)


def test_after_two_minutes_without_metrics_the_canary_waits_without_traffic() -> None:
    world = in_the_first_hold()
    world.source_down = True
    gone = world.now
    world.run(lambda w: w.by_version() == {"1": 100, "2": 0})
    assert 120 <= (world.now - gone).total_seconds() <= 145
    rollout = world.status.rollout
    assert rollout.stage is Stage.PAUSED
    assert [reason.reason for reason in rollout.pause_reasons] == ["MetricsUnavailable"]
    assert world.status.phase == "Paused"
    assert world.status.failed is None
    assert "MetricsUnavailable" in world.story()


def test_a_canary_that_waits_for_metrics_keeps_its_pods_and_writes_nothing() -> None:
    world = in_the_first_hold()
    world.source_down = True
    world.run(lambda w: w.by_version() == {"1": 100, "2": 0})
    world.run_for(60)
    writes = world.writes
    world.run_for(600)
    assert world.writes == writes
    assert sorted(world.replicas.values()) == [1, 2]


def test_when_metrics_are_back_the_rollout_begins_again_at_the_first_step() -> None:
    world = in_the_first_hold()
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50})
    world.source_down = True
    world.run(lambda w: w.by_version() == {"1": 100, "2": 0})
    world.source_down = False
    world.run(ended)
    assert weights_of(world, "2") == [0, 10, 50, 0, 10, 50, 100]
    assert "Resumed" in world.story()


def test_after_two_minutes_the_pods_own_metrics_are_believed() -> None:
    world = in_the_first_hold()
    world.source_down = world.second_source = True
    world.run_for(100)
    assert world.status.rollout.verdicts[-1].verdict is Verdict.UNAVAILABLE
    world.run(ended)
    assert world.status.stable.resolved_version == "2"
    assert weights_of(world, "2") == [0, 10, 50, 100]


def test_a_bad_canary_is_taken_back_by_its_pods_own_metrics() -> None:
    world = in_the_first_hold()
    world.source_down = world.second_source = True
    world.behaviour["2"].errors = 0.2
    world.run(ended)
    assert world.status.failed.reason == "MetricsBreached"


def test_no_traffic_is_moved_for_want_of_metrics_to_a_stable_without_pods() -> None:
    world = in_the_first_hold()
    world.source_down = True
    world.behaviour["1"].ready = False
    world.run_for(300)
    assert world.by_version() == {"1": 90, "2": 10}
