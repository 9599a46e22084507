"""Commands by annotation, and what outranks what."""

from __future__ import annotations

import pytest

from serinus.api.status import Outcome
from serinus.core.observed import Commands
from serinus.core.revision import short

from .world import Behaviour, World, ended, weights_of


def at_ten_percent(world: World | None = None) -> World:
    world = (world or World()).serving()
    world.model("2")
    return world.run(lambda w: w.by_version() == {"1": 90, "2": 10})


def canary(world: World) -> str:
    return short(world.status.canary.revision)


def test_abort_takes_the_traffic_back_at_once_and_the_revision_is_not_tried_again() -> None:
    world = at_ten_percent()
    world.commands = Commands(abort=canary(world))
    world.look()
    assert world.by_version() == {"1": 100, "2": 0}
    world.run_for(600)
    assert world.status.failed.reason == "Aborted"
    assert [entry.outcome for entry in world.status.history] == [Outcome.ABORTED]
    assert weights_of(world, "2") == [0, 10, 0]


def test_the_whole_revision_may_be_named_as_well() -> None:
    world = at_ten_percent()
    world.commands = Commands(abort=world.status.canary.revision)
    world.run(ended)
    assert world.status.failed.reason == "Aborted"


def test_a_command_for_another_revision_does_nothing_is_told_once_and_never_comes_back() -> None:
    world = at_ten_percent()
    world.commands = Commands(abort="0badc0de", promote="0badc0de/full")
    world.run(ended)
    assert world.status.stable.resolved_version == "2"
    assert weights_of(world, "2") == [0, 10, 50, 100]
    assert world.story().count("CommandIgnored") == 2


def test_an_abort_of_a_revision_that_is_about_to_start_keeps_it_from_getting_traffic() -> None:
    world = at_ten_percent()
    second = canary(world)
    world.model("1")
    world.run(ended)
    world.commands = Commands(abort=second)  # annotated together with the change of the spec
    world.model("2")
    world.run(lambda w: w.status.failed is not None)
    assert weights_of(world, "2") == [0, 10, 0]


def test_an_abort_is_carried_out_once_however_long_the_annotation_stays() -> None:
    world = at_ten_percent()
    world.commands = Commands(abort=canary(world))
    world.run(ended)
    world.spec["rollout"] = {**world.spec["rollout"], "retryToken": "again"}
    world.run(lambda w: w.status.stable.resolved_version == "2")


def test_an_annotation_that_was_taken_away_may_come_again() -> None:
    world = at_ten_percent()
    world.commands = Commands(abort=canary(world))
    world.run(ended)
    world.commands = Commands()
    world.spec["rollout"] = {**world.spec["rollout"], "retryToken": "again"}
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.commands = Commands(abort=canary(world))
    world.run(ended)
    assert [entry.outcome for entry in world.status.history] == [Outcome.ABORTED] * 2


def test_promote_ends_the_running_hold_and_no_more() -> None:
    world = at_ten_percent()
    world.commands = Commands(promote=canary(world))
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50}, limit=5)
    world.run_for(20)
    assert world.by_version() == {"1": 50, "2": 50}


def test_promote_needs_no_evidence_but_ready_pods() -> None:
    world = at_ten_percent(World(rate=0.0))
    world.behaviour["2"].at_most = 1  # the next step needs one pod, the promotion two
    world.commands = Commands(promote=f"{canary(world)}/full")
    world.run_for(30)
    assert world.by_version() == {"1": 90, "2": 10}
    world.behaviour["2"].at_most = None
    world.run(ended, limit=30)
    assert weights_of(world, "2") == [0, 10, 100]


def test_a_breach_is_not_overridden_by_promote() -> None:
    world = World(behaviour={"2": Behaviour(errors=0.2)})
    world.spec["rollout"] = {**world.spec["rollout"], "onBreach": "Pause"}
    at_ten_percent(world)
    world.run(lambda w: w.status.phase == "Paused")
    world.commands = Commands(promote=f"{canary(world)}/full")
    world.run_for(60)
    assert world.by_version() == {"1": 90, "2": 10}
    assert "CommandIgnored" in world.story()


def test_promote_waits_while_the_rollout_is_paused() -> None:
    world = at_ten_percent()
    name = canary(world)
    world.commands = Commands(promote=f"{name}/full", pause=name)
    world.run_for(100)
    assert world.by_version() == {"1": 90, "2": 10}
    world.commands = Commands(promote=f"{name}/full")
    world.run(ended, limit=30)
    assert weights_of(world, "2") == [0, 10, 100]


@pytest.mark.parametrize("together", ["promote", "pause", "spec", "breach"])
def test_abort_outranks_everything_that_arrives_with_it(together: str) -> None:
    world = at_ten_percent()
    name = canary(world)
    more = {"promote": {"promote": f"{name}/full"}, "pause": {"pause": name}}.get(together, {})
    world.commands = Commands(abort=name, **more)
    if together == "spec":
        world.model("3")
    if together == "breach":
        world.behaviour["2"].errors = 1.0
        world.pass_time()
    world.look()
    assert world.by_version() == {"1": 100, "2": 0}
    world.run(lambda w: bool(w.status.history))
    assert world.status.history[0].outcome is Outcome.ABORTED


def test_a_new_revision_outranks_pause_and_promote() -> None:
    world = at_ten_percent()
    name = canary(world)
    world.commands = Commands(promote=f"{name}/full", pause=name)
    world.model("3")
    world.run(lambda w: w.status.stable.resolved_version == "3")
    assert weights_of(world, "2") == [0, 10, 0]


def test_a_changed_retry_token_tries_a_failed_revision_again_and_an_unchanged_one_never() -> None:
    world = World(behaviour={"2": Behaviour(errors=0.2)})
    at_ten_percent(world)
    world.run(ended)
    world.behaviour["2"].errors = 0.0
    world.run_for(3600)
    assert weights_of(world, "2") == [0, 10, 0]
    world.spec["rollout"] = {**world.spec["rollout"], "retryToken": "1"}
    world.run(lambda w: w.status.stable.resolved_version == "2")
    assert weights_of(world, "2") == [0, 10, 0, 10, 50, 100]


def test_a_breach_that_waits_for_people_is_tried_again_with_a_new_retry_token() -> None:
    world = World(behaviour={"2": Behaviour(errors=0.2)})
    world.spec["rollout"] = {**world.spec["rollout"], "onBreach": "Pause"}
    at_ten_percent(world)
    world.run(lambda w: w.status.phase == "Paused")
    world.behaviour["2"].errors = 0.0
    world.spec["rollout"] = {**world.spec["rollout"], "retryToken": "1"}
    world.run(lambda w: w.status.stable.resolved_version == "2")
    assert weights_of(world, "2") == [0, 10, 0, 10, 50, 100]
