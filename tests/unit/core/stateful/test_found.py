"""What the walks have found, each as one plain story."""

from __future__ import annotations

from world import World, ended, weights_of

from serinus.core.observed import Commands
from serinus.core.revision import short

from .cluster import Cluster


def at_ten_percent(world: World | None = None) -> World:
    world = (world or World()).serving()
    world.model("2")
    return world.run(lambda w: w.by_version() == {"1": 90, "2": 10})


def test_an_abort_of_a_canary_on_its_way_back_keeps_it_from_being_tried_again() -> None:
    world = at_ten_percent()
    world.invalid = "spec.server: wrong"  # a canary that cannot be judged loses its traffic
    world.look()
    world.invalid = ""
    world.commands = Commands(abort=short(world.status.canary.revision))
    world.run_for(300)
    assert weights_of(world, "2") == [0, 10, 0]


def test_a_retry_token_that_changes_on_the_way_back_tries_the_revision_again() -> None:
    world = at_ten_percent()
    world.confirmed = False
    world.commands = Commands(abort=short(world.status.canary.revision))
    world.look()
    world.spec["rollout"] = {**world.spec["rollout"], "retryToken": "again"}
    world.look()
    world.confirmed, world.commands = True, Commands()
    world.run_for(300)
    assert world.status.stable.resolved_version == "2"


def test_no_step_is_left_out_when_the_steps_change_on_the_way() -> None:
    world = at_ten_percent()
    steps = [{"weight": 20, "hold": "30s"}, {"weight": 60, "hold": "30s"}]
    world.spec["rollout"] = {**world.spec["rollout"], "steps": steps}
    world.run(ended)
    assert weights_of(world, "2") == [0, 10, 20, 60, 100]


def test_a_split_that_was_wrong_while_stable_was_away_is_not_told_as_too_few_requests() -> None:
    world = at_ten_percent(Cluster(rate=1000.0))
    world.spec["analysis"] = {**world.spec["analysis"], "onInsufficient": {"after": "2m"}}
    world.behaviour["1"].ready = False
    world.run_for(60)
    world.behaviour["1"].ready, world.rate = True, 100.0
    world.run_for(240)
    assert "InsufficientData" not in world.story()


def test_a_canary_that_has_not_all_the_traffic_is_not_promoted_because_steps_were_removed() -> None:
    world = at_ten_percent()
    world.run(lambda w: w.status.rollout.step == 1 and w.status.rollout.stage == "Scaling")
    world.confirmed = False
    world.run(lambda w: w.status.canary.requested_weight == 50)
    world.spec["rollout"] = {**world.spec["rollout"], "steps": [{"weight": 50, "hold": "30s"}]}
    world.confirmed = True
    since = world.now
    world.run(ended)
    assert (world.now - since).total_seconds() >= 30


def test_a_canary_that_is_paused_at_full_weight_does_not_fail_for_it() -> None:
    world = at_ten_percent()
    world.run(lambda w: w.status.rollout.step == 2)
    world.confirmed = False
    world.run(lambda w: w.status.canary.requested_weight == 100)
    world.spec["rollout"] = {**world.spec["rollout"], "paused": True}
    world.confirmed = True
    world.run_for(300)
    assert world.status.failed is None
    world.spec["rollout"] = {**world.spec["rollout"], "paused": False}
    world.run(ended)
    assert world.status.stable.resolved_version == "2"


def test_a_hold_is_not_cut_short_when_a_step_before_it_is_removed() -> None:
    world = at_ten_percent()
    world.run(lambda w: (w.status.rollout.stage, w.status.rollout.step) == ("Holding", 1))
    since = world.now
    world.spec["rollout"] = {**world.spec["rollout"], "steps": [{"weight": 50, "hold": "60s"}]}
    world.run(lambda w: w.status.canary is None or w.status.canary.requested_weight == 100)
    assert (world.now - since).total_seconds() >= 60


def test_nobody_is_promoted_without_approval_because_requests_do_not_come() -> None:
    world = World()
    world.spec["rollout"] = {**world.spec["rollout"], "approval": "Manual"}
    policy = {"after": "1m", "do": "Promote"}
    world.spec["analysis"] = {**world.spec["analysis"], "onInsufficient": policy}
    at_ten_percent(world)
    world.rate = 0.0
    world.run_for(600)
    assert weights_of(world, "2") == [0, 10, 50]
