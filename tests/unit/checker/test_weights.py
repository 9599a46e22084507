"""Whose weight may rise, and when: for each promise a log that breaks it, and the nearest that does not."""

from __future__ import annotations

from typing import Any

import pytest
from handmade import BREACH, SPEC, A, B, C, Log, arm, asked, held, rolling, short


def test_a_whole_rollout_by_the_rules_breaks_nothing() -> None:
    log = held()
    log.weigh(50).wait(31).look().metrics(900).weigh(100, rollout={"stage": "Shifting", "step": 2})
    log.wait(1).look().status(stable=arm(B, 100), canary=None, rollout=None)
    log.route(weights={B: 100}).wait(21).look()
    log.remove("deployments", f"churn-{short(A)}").remove("services", f"churn-{short(A)}")
    assert log.end(200).check() == []


# --- I1 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ({A: 90, B: 20}, "churn-aaaaaaaa=90, churn-bbbbbbbb=20"),
        ({A: 100, B: None}, "churn-bbbbbbbb=None"),
        ({A: "100"}, "churn-aaaaaaaa=100"),
        ({A: 101, B: -1}, "churn-aaaaaaaa=101, churn-bbbbbbbb=-1"),
        ({}, "no backend"),
    ],
)
def test_i1_a_route_with_other_weights_than_integers_of_sum_100(
    weights: dict[str, Any], named: str
) -> None:
    log = rolling().look()
    log.route(weights=weights, committed=False, accept=False)
    assert named in log.told("I1")


def test_i1_holds_when_somebody_else_writes_such_weights() -> None:
    log = rolling()
    assert "I1" not in log.route(weights={A: 90, B: 20}, actor="foreign").broken()


# --- I2 -------------------------------------------------------------------------------------------


def test_i2_weight_for_a_canary_that_the_pass_saw_without_ready_endpoints() -> None:
    log = rolling().look({A: 2, B: 0}).status(canary=arm(B, 10))
    told = log.route(weights={A: 90, B: 10}).told("I2")
    assert told == "operator-1 raised bbbbbbbb from 0 to 10 with 0 ready endpoints in the pass"


def test_i2_weight_for_a_canary_that_only_an_earlier_pass_has_looked_at() -> None:
    log = rolling().look()
    log.number += 1
    log.event("pass", actor=log.actor, id=log.number, object="ml/churn")
    log.status(canary=arm(B, 10)).route(weights={A: 90, B: 10})
    assert "no look at its endpoints" in log.told("I2")


def test_i2_holds_when_weight_is_taken_from_a_canary_without_endpoints() -> None:
    log = rolling().weigh(10)
    log.look({A: 2, B: 0}).status(canary=arm(B, 0)).route(weights={A: 100, B: 0})
    assert log.check() == []


# --- I3 -------------------------------------------------------------------------------------------


def test_i3_a_step_is_left_out() -> None:
    assert "from 0 to 50; the steps are [10, 50], 100" in rolling().weigh(50).told("I3")


@pytest.mark.parametrize(("weight", "broken"), [(60, True), (20, False)])
def test_i3_the_steps_of_today_are_the_steps(weight: int, broken: bool) -> None:
    steps = [{"weight": 20, "hold": "30s"}, {"weight": 60, "hold": "30s"}]
    log = held().user(asked(steps=steps)).wait(1).weigh(weight)
    assert ("I3" in log.broken()) is broken


def test_i3_the_hold_is_cut_short() -> None:
    log = rolling().weigh(10).wait(29).look().metrics(300).weigh(50)
    assert log.told("I3") == "operator-1 raised bbbbbbbb from 10 to 50 after 29.0 s of 30 s"


def test_i3_the_hold_begins_when_the_gateway_has_the_weight() -> None:
    log = rolling().look().status(canary=arm(B, 10))
    log.route(weights={A: 90, B: 10}, accept=False).wait(29).accept()
    assert "after 2.0 s of 30 s" in log.wait(2).look().metrics(300).weigh(50).told("I3")


def test_i3_the_gateway_has_never_had_the_weight() -> None:
    log = rolling().look().status(canary=arm(B, 10))
    log.route(weights={A: 90, B: 10}, accept=False).wait(31).look().metrics(300)
    assert "before a Gateway had taken 10" in log.weigh(50).told("I3")


def test_i3_a_slot_of_the_last_hold_was_a_breach() -> None:
    log = rolling().weigh(10)
    log.wait(20).look().metrics(200).status(rollout={"stage": "Holding"})
    log.wait(10).look().metrics(400, errors=100).status(rollout={"stage": "Holding"})
    log.wait(10).look().metrics(600, errors=100).weigh(50)
    assert "10.0 s after a slot with 100 errors of 400 requests" in log.told("I3")


def test_i3_holds_when_a_whole_hold_has_passed_since_the_breach() -> None:
    log = rolling().weigh(10)
    log.wait(10).look().metrics(100, errors=50).status(rollout={"stage": "Holding"})
    log.wait(31).look().metrics(400, errors=50).weigh(50)
    assert log.check() == []


def test_i3_holds_at_the_end_of_the_hold() -> None:
    assert held().weigh(50).check() == []


def test_i3_promotion_before_the_last_step_is_held() -> None:
    log = held().look().status(stable=arm(B, 100), canary=None, rollout=None)
    assert "from 10 to 100; the steps are [10, 50], 100" in log.told("I3")


def test_i3_a_promote_command_excuses_one_rise() -> None:
    log = rolling().weigh(10).wait(1).user(promote=short(B)).wait(1).weigh(50)
    assert log.check() == []
    assert "I3" in log.wait(1).weigh(100).broken()


def test_i3_a_promote_command_for_another_revision_excuses_nothing() -> None:
    log = rolling().weigh(10).wait(1).user(promote=short(C)).wait(1).weigh(50)
    assert "after 2.0 s of 30 s" in next(v.message for v in log.check() if v.invariant == "I3")


def test_i3_the_last_step_waits_for_approval() -> None:
    log = held(asked(approval="Manual")).weigh(50).wait(31).look().metrics(900).weigh(100)
    assert "from 50 to 100 without approval" in log.told("I3")


def test_i3_on_insufficient_promote_excuses_after_its_time() -> None:
    spec = {
        **asked(),
        "analysis": {**SPEC["analysis"], "onInsufficient": {"after": "60s", "do": "Promote"}},  # type: ignore[dict-item]
    }
    assert rolling(spec).weigh(10).wait(61).look().metrics(5).weigh(50).check() == []
    assert "I3" in rolling(spec).weigh(10).wait(59).look().metrics(5).weigh(50).broken()


def test_i3_the_route_gets_more_than_was_committed() -> None:
    log = held().look()
    log.route(weights={A: 50, B: 50})
    assert (
        log.told("I3") == "operator-1 raised bbbbbbbb on the route from 10 to 50; committed are 10"
    )


def late_route(*, deleted: bool, created: bool) -> Log:
    """A route with all of the traffic on A comes 20 s late, in the first step of B."""
    log = rolling().weigh(10)
    late = log.look().number
    log.wait(10)
    if created:
        log.remove("httproutes", "churn", actor="foreign")
    if deleted:
        log.remove("modeldeployments", "churn", actor="user")
    return log.wait(10).route(weights={A: 100}, **{"pass": late})


def test_i3_holds_when_a_route_is_made_late_for_an_object_that_was_deleted_meanwhile() -> None:
    assert late_route(deleted=True, created=True).check() == []


@pytest.mark.parametrize(("deleted", "created"), [(False, True), (True, False), (False, False)])
def test_i3_a_late_route_has_more_than_was_committed(deleted: bool, created: bool) -> None:
    log = late_route(deleted=deleted, created=created)
    before = 0 if created else 90
    expected = f"operator-1 raised aaaaaaaa on the route from {before} to 100; committed are 90"
    assert log.told("I3") == expected


def test_i3_a_route_for_a_deleted_object_by_a_pass_of_after_the_delete() -> None:
    log = rolling().weigh(10).wait(10).remove("httproutes", "churn", actor="collector")
    log.remove("modeldeployments", "churn", actor="user").wait(1).look()
    assert {"I3", "I12"} <= log.route(weights={A: 100}).broken()


def test_i3_a_clock_that_jumps_shortens_the_hold_by_no_more_than_it_jumped() -> None:
    log = rolling().weigh(10)
    log.event("fault", what="clock jump", actor="operator-1", offset=6.0)
    assert log.wait(25).look().metrics(300).weigh(50).check() == []


def test_i3_a_clock_that_runs_fast_shortens_the_hold_by_no_more_than_it_is_faster() -> None:
    def run(rate: float) -> set[str]:
        log = rolling().weigh(10)
        log.event("fault", what="clock jump", actor="operator-1", offset=0.0, rate=rate)
        return log.wait(25).look().metrics(300).weigh(50).broken()

    assert run(1.2) == set()
    assert run(1.05) == {"I3"}


def test_i3_a_clock_that_is_ahead_shortens_the_hold_by_no_more_than_it_is_ahead() -> None:
    def run(offset: float) -> set[str]:
        log = rolling().weigh(10)
        log.event("start", actor="operator-2", clock_offset=offset)
        log.actor = "operator-2"
        return log.wait(25).look().metrics(300).weigh(50).broken()

    assert run(6.0) == set()
    assert run(4.0) == {"I3"}


# --- I4 -------------------------------------------------------------------------------------------


def test_i4_weight_for_a_breached_canary_after_a_restart() -> None:
    log = held().look().status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    log.event("crash", actor="operator-1", point="after-commit")
    log.wait(2).event("start", actor="operator-2", clock_offset=-300.0)
    log.actor = "operator-2"
    log.look().route(weights={A: 50, B: 50})
    assert "raised bbbbbbbb on the route from 10 to 50, breached" in log.told("I4")


def test_i4_weight_for_an_aborted_canary() -> None:
    log = held().user(abort=B).wait(1).weigh(50)
    told = [v.message for v in log.check() if v.invariant == "I4"]
    assert told[0] == "operator-1 raised bbbbbbbb from 10 to 50, aborted at 51.0 s"


def test_i4_holds_for_a_pass_that_began_before_the_abort() -> None:
    log = held().look().status(canary=arm(B, 50))
    log.wait(0.1).user(abort=B).route(weights={A: 50, B: 50})
    assert "I4" not in log.broken()


def test_i4_weight_for_an_aborted_canary_by_a_write_that_was_late() -> None:
    log = held().look().status(canary=arm(B, 50))
    late = log.number
    log.wait(1).user(abort=B).look().status(canary=arm(B, 0)).route(weights={A: 100, B: 0})
    log.wait(20).route(weights={A: 50, B: 50}, **{"pass": late})
    assert "on the route from 0 to 50, aborted at" in log.told("I4")


def test_i4_an_abort_of_another_revision_latches_nothing() -> None:
    assert held().user(abort=C).wait(1).weigh(50).check() == []


def failed() -> Log:
    """B was rolled back; the spec still asks for it."""
    log = held().look().metrics(400, errors=50)
    log.status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    log.route(weights={A: 100, B: 0}).wait(1).look()
    gone = {"revision": B, "reason": "MetricsBreached", "at": BREACH["at"]}
    return log.status(canary=None, rollout=None, failed=gone).wait(30)


@pytest.mark.parametrize("how", ["token", "and-back"])
def test_i4_and_i9_are_over_when_a_person_asks_anew(how: str) -> None:
    log = failed()
    if how == "token":
        log.user(asked(retryToken="again"))
    else:
        log.user(asked("models:/churn/9")).wait(1).user(asked())
    log.wait(1).look().status(canary=arm(B, 0), rollout={"stage": "Scaling"}, failed=None)
    assert log.weigh(10).check() == []


def test_i4_and_i9_go_on_when_a_person_edits_the_steps() -> None:
    log = failed().user({**asked(), "rollout": {"steps": [{"weight": 10}]}}).wait(1).look()
    log.status(canary=arm(B, 0), rollout={"stage": "Scaling"}).weigh(10)
    assert {"I4", "I9"} <= log.broken()


# --- I7 -------------------------------------------------------------------------------------------


def test_i7_two_canaries_have_weight() -> None:
    log = held().look().status(canary=arm(C, 10))
    log.route(weights={A: 80, B: 10, C: 10})
    assert "'bbbbbbbb': 10, 'cccccccc': 10" in log.told("I7")


def test_i7_holds_with_one_canary_and_one_that_has_none_left() -> None:
    log = held().look().status(canary=arm(C, 10))
    assert "I7" not in log.route(weights={A: 90, B: 0, C: 10}).broken()


# --- I9 -------------------------------------------------------------------------------------------


def test_i9_a_failed_revision_is_tried_again() -> None:
    log = failed().look().status(canary=arm(B, 0), rollout={"stage": "Scaling"})
    assert "operator-1 tries bbbbbbbb again, breached (MetricsBreached) at 51.0 s" in log.told("I9")


def test_i9_holds_when_another_revision_is_tried() -> None:
    log = failed().user(asked("models:/churn/3")).wait(1).look()
    assert "I9" not in log.status(canary=arm(C, 0), rollout={"stage": "Scaling"}).broken()
