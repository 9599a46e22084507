"""What holds a rollout back without failing anybody: people, approval, missing requests, a wrong clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from serinus.core.observed import Commands
from serinus.core.revision import short

from .world import Behaviour, World, ended, weights_of


def rollout(**more: object) -> dict:
    return {**World().spec["rollout"], **more}


def analysis(**more: object) -> dict:
    return {**World().spec["analysis"], **more}


def at_ten_percent(world: World) -> World:
    world.serving()
    world.model("2")
    return world.run(lambda w: w.by_version() == {"1": 90, "2": 10})


def reasons(world: World) -> list[str]:
    return [reason.reason for reason in world.status.rollout.pause_reasons]


def test_a_paused_rollout_keeps_its_weight_and_goes_on_where_it_was() -> None:
    world = at_ten_percent(World())
    world.spec["rollout"] = rollout(paused=True)
    world.run_for(300)
    assert world.by_version() == {"1": 90, "2": 10}
    assert world.status.phase == "Paused"
    assert reasons(world) == ["PausedByUser"]
    world.spec["rollout"] = rollout(paused=False)
    world.run(ended)
    assert weights_of(world, "2") == [0, 10, 50, 100]
    assert world.story().count("PausedByUser") == 1


def test_no_rollout_starts_while_paused_and_the_condition_says_so() -> None:
    world = World().serving()
    world.spec["rollout"] = rollout(paused=True)
    world.model("2")
    world.run_for(60)
    assert world.status.canary is None
    progressing = next(c for c in world.status.conditions if c.type == "Progressing")
    assert (progressing.status, progressing.reason) == ("False", "PausedByUser")


def test_the_first_revision_is_served_also_while_paused() -> None:
    world = World(spec={**World().spec, "rollout": rollout(paused=True)})
    world.run(lambda w: w.by_version() == {"1": 100})


def test_the_pause_annotation_holds_the_revision_that_it_names_and_no_other() -> None:
    world = at_ten_percent(World())
    world.commands = Commands(pause="0badc0de")
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50})
    world.commands = Commands(pause=short(world.status.canary.revision))
    world.run_for(200)
    assert world.by_version() == {"1": 50, "2": 50}
    world.commands = Commands()
    world.run(ended)
    assert world.status.stable.resolved_version == "2"


def test_a_breach_is_stronger_than_a_pause() -> None:
    world = at_ten_percent(World())
    world.spec["rollout"] = rollout(paused=True)
    world.behaviour["2"].errors = 0.2
    world.run(ended)
    assert world.by_version()["1"] == 100
    assert world.status.failed.reason == "MetricsBreached"


def test_manual_approval_waits_after_the_last_step() -> None:
    world = at_ten_percent(World(spec={**World().spec, "rollout": rollout(approval="Manual")}))
    world.run(lambda w: w.status.rollout is not None and "ApprovalRequired" in reasons(w))
    world.run_for(200)
    assert world.by_version() == {"1": 50, "2": 50}
    world.commands = Commands(promote=short(world.status.canary.revision))
    world.run(ended)
    assert weights_of(world, "2") == [0, 10, 50, 100]


def test_an_answer_of_before_the_last_step_is_no_approval_and_people_are_told_so() -> None:
    world = at_ten_percent(World(spec={**World().spec, "rollout": rollout(approval="Manual")}))
    key = short(world.status.canary.revision)
    world.commands = Commands(promote=key)
    world.run(lambda w: w.status.rollout is not None and "ApprovalRequired" in reasons(w))
    world.run_for(200)
    assert world.by_version() == {"1": 50, "2": 50}
    (asked,) = world.status.rollout.pause_reasons
    assert asked.message.endswith("; the one that is there was answered before: remove it first")
    world.commands = Commands()
    world.run(lambda w: w.status.rollout.pause_reasons[0].message.endswith(f"promote={key}"))
    world.commands = Commands(promote=key)
    world.run(ended)
    assert weights_of(world, "2") == [0, 10, 50, 100]


def test_the_wait_for_approval_is_told_once_however_quiet_the_traffic_is() -> None:
    world = at_ten_percent(World(spec={**World().spec, "rollout": rollout(approval="Manual")}))
    world.run(lambda w: w.status.rollout is not None and "ApprovalRequired" in reasons(w))
    world.rate = 3.0  # a slot stays open for several intervals
    world.run_for(300)
    assert world.story().count("ApprovalRequired") == 1
    assert "Resumed" not in world.story()


def test_a_canary_that_goes_bad_while_approval_is_awaited_is_taken_back() -> None:
    world = at_ten_percent(World(spec={**World().spec, "rollout": rollout(approval="Manual")}))
    world.run(lambda w: w.status.rollout is not None and "ApprovalRequired" in reasons(w))
    world.behaviour["2"].errors = 0.1
    world.run(ended)
    assert world.status.failed is not None


def test_too_few_requests_pause_by_default_and_the_rollout_goes_on_when_they_come() -> None:
    spec = {**World().spec, "analysis": analysis(onInsufficient={"after": "2m"})}
    world = World(spec=spec, rate=0.1)
    at_ten_percent(world)
    world.run(lambda w: "InsufficientData" in reasons(w))
    world.run_for(600)
    assert world.by_version() == {"1": 90, "2": 10}
    world.rate = 100
    world.run(ended)
    assert world.status.stable.resolved_version == "2"


def test_without_any_requests_nothing_is_written_and_the_first_ones_are_seen_at_once() -> None:
    world = World(rate=0.0)
    world.spec["analysis"] = analysis(onInsufficient={"after": "1m"})
    at_ten_percent(world)
    world.run(lambda w: "InsufficientData" in reasons(w))
    writes = world.writes
    world.run_for(600)
    assert world.writes == writes
    world.rate, since = 100.0, world.now
    world.run(lambda w: w.status.rollout.healthy_slots == 1)
    assert world.now - since <= timedelta(seconds=22)


def test_too_few_requests_take_the_canary_back_when_the_spec_says_so() -> None:
    policy = {"after": "2m", "do": "Rollback"}
    world = World(spec={**World().spec, "analysis": analysis(onInsufficient=policy)}, rate=0.1)
    at_ten_percent(world)
    before = world.now
    world.run(ended)
    assert world.status.failed.reason == "InsufficientData"
    assert (world.now - before) <= timedelta(seconds=140)


def test_too_few_requests_promote_step_by_step_when_the_spec_says_so() -> None:
    policy = {"after": "2m", "do": "Promote"}
    world = World(spec={**World().spec, "analysis": analysis(onInsufficient=policy)}, rate=0.1)
    at_ten_percent(world)
    before = world.now
    world.run(ended)
    assert weights_of(world, "2") == [0, 10, 50, 100]
    assert (world.now - before) >= timedelta(minutes=4)


@pytest.mark.parametrize("seconds", [31, -31, 300])
def test_a_clock_that_is_wrong_advances_nothing_but_takes_traffic_back(seconds: int) -> None:
    world = at_ten_percent(World())
    world.clock_skew = timedelta(seconds=seconds)
    world.run_for(120)
    assert world.by_version() == {"1": 90, "2": 10}
    assert reasons(world) == ["ClockSkew"]
    world.behaviour["2"].errors = 0.2
    world.run(ended)
    assert world.status.failed.reason == "MetricsBreached"


def test_a_clock_that_ran_ahead_for_a_while_blinds_nobody_when_it_is_right_again() -> None:
    world = at_ten_percent(World())
    world.run(lambda w: w.status.rollout.healthy_slots == 1)
    world.now += timedelta(minutes=5)
    world.run(lambda w: w.status.rollout.slot_checked_at == w.status.rollout.verdicts[-1].at)
    world.look()
    world.now -= timedelta(minutes=5)
    world.behaviour["2"].errors = 0.3
    for rows in world.samples.values():  # what is scraped has the time of the metric source
        rows[:] = [row for row in rows if row[0] <= world.now]
    since = world.now
    world.run(ended)
    assert world.status.failed.reason == "MetricsBreached"
    assert world.now - since <= timedelta(seconds=40)


def test_a_hold_under_a_wrong_clock_is_held_again() -> None:
    world = at_ten_percent(World())
    world.clock_skew = timedelta(minutes=-5)
    world.run_for(25)
    world.clock_skew, right = timedelta(0), world.now
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50})
    assert world.now - right >= timedelta(seconds=30)


@pytest.mark.parametrize("confirmed", [False, True])
def test_nobody_fails_because_the_operators_clock_has_jumped(confirmed: bool) -> None:
    world = World(behaviour={"2": Behaviour(ready=not confirmed)}).serving()
    world.model("2")
    world.run(lambda w: w.status.canary is not None)
    world.confirmed = confirmed
    world.run_for(10)
    world.now += timedelta(hours=1)
    world.clock_skew = timedelta(hours=1)
    world.run_for(10)
    assert world.status.failed is None
    world.now -= timedelta(hours=1)
    world.clock_skew = timedelta(0)
    world.confirmed = world.behaviour["2"].ready = True
    world.samples.clear()
    world.run(ended)
    assert world.status.stable.resolved_version == "2"
