"""I1 to I15: for each a log that breaks it, told with its numbers, and the nearest one that does not."""

from __future__ import annotations

from typing import Any

import pytest
from handmade import SPEC, A, B, C, Log, arm, asked, held, rolling, serving, short, template

BREACH = {"reason": "MetricsBreached", "at": "2026-01-01T00:00:50Z", "message": "bad"}


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


# --- I5 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["deployments", "services"])
def test_i5_a_backend_with_weight_is_deleted(resource: str) -> None:
    log = held().look().remove(resource, f"churn-{short(B)}")
    assert f"deleted the {resource[:-1]} of bbbbbbbb, which has weight 10" in log.told("I5")


def test_i5_a_backend_is_deleted_that_the_gateway_still_has() -> None:
    log = held().look().status(canary=arm(B, 0)).route(weights={A: 100}, accept=False)
    log.wait(40).look().remove("services", f"churn-{short(B)}")
    assert "which has weight 10" in log.told("I5")


def test_i5_holds_when_the_gateway_has_let_it_go() -> None:
    log = held().look().status(canary=arm(B, 0)).route(weights={A: 100})
    log.wait(40).look().remove("services", f"churn-{short(B)}")
    assert "I5" not in log.broken()


def test_i5_a_backend_with_weight_is_scaled_to_nothing() -> None:
    log = held().look()
    log.child("deployments", B, "patch", replicas=0)
    assert "scaled the deployment to 0" in log.told("I5")


def test_i5_a_service_with_weight_is_re_pointed() -> None:
    log = held().look()
    log.child("services", B, "patch", selector={"serinus.dev/revision": short(A)})
    assert "re-pointed the service of bbbbbbbb" in log.told("I5")


def test_i5_holds_when_others_delete_it() -> None:
    assert "I5" not in held().remove("services", f"churn-{short(B)}", actor="foreign").broken()


# --- I6 -------------------------------------------------------------------------------------------


def test_i6_stable_is_made_smaller_while_the_canary_grows() -> None:
    log = held().look()
    log.child("deployments", A, "patch", replicas=1)
    assert log.told("I6") == "operator-1 gave stable aaaaaaaa 1 pods of 2"


def test_i6_holds_when_the_spec_asks_for_fewer() -> None:
    log = held()
    log.user({**asked(), "server": {"replicas": 1}}).look()
    log.child("deployments", A, "patch", replicas=1)
    assert "I6" not in log.broken()


@pytest.mark.parametrize(("after", "broken"), [(19.0, True), (20.0, False)])
def test_i6_the_old_stable_goes_after_its_delay_only(after: float, broken: bool) -> None:
    log = held().weigh(50).wait(31).look().metrics(900).weigh(100)
    log.look().status(stable=arm(B, 100), canary=None, rollout=None).route(weights={B: 100})
    log.wait(after).look().remove("deployments", f"churn-{short(A)}")
    assert ("I6" in log.broken()) is broken
    if broken:
        assert "took pods of aaaaaaaa away 19.0 s after its traffic" in log.told("I6")


# --- I7 -------------------------------------------------------------------------------------------


def test_i7_two_canaries_have_weight() -> None:
    log = held().look().status(canary=arm(C, 10))
    log.route(weights={A: 80, B: 10, C: 10})
    assert "'bbbbbbbb': 10, 'cccccccc': 10" in log.told("I7")


def test_i7_holds_with_one_canary_and_one_that_has_none_left() -> None:
    log = held().look().status(canary=arm(C, 10))
    assert "I7" not in log.route(weights={A: 90, B: 0, C: 10}).broken()


# --- I8 -------------------------------------------------------------------------------------------


def test_i8_the_image_of_a_revision_changes_in_the_status() -> None:
    log = held().look().status(canary=arm(B, 10, image="server:2"))
    assert "image of bbbbbbbb changed from 'server:1' to 'server:2'" in log.told("I8")


def test_i8_pods_load_another_model_than_was_admitted() -> None:
    log = held().look()
    log.child("deployments", B, template=template(C))
    told = [v.message for v in log.check() if v.invariant == "I8"]
    assert (
        "whose modelURI is 'models:/churn/cccccccc'; admitted was 'models:/churn/bbbbbbbb'"
        in told[0]
    )


def test_i8_a_revision_comes_back_to_pods_that_have_another_image() -> None:
    log = held().look().status(canary=None, rollout=None).wait(1)
    log.look().status(canary=arm(B, 0, image="server:2"), rollout={"stage": "Scaling"})
    log.child("deployments", B, "patch", replicas=1)
    assert "whose image is 'server:1'; admitted was 'server:2'" in log.told("I8")


def test_i8_holds_when_a_revision_comes_back_with_the_image_of_today() -> None:
    log = held().look().status(canary=None, rollout=None).wait(1)
    assert "I8" not in log.look().status(canary=arm(B, 0, image="server:2")).broken()


# --- I9 -------------------------------------------------------------------------------------------


def test_i9_a_failed_revision_is_tried_again() -> None:
    log = failed().look().status(canary=arm(B, 0), rollout={"stage": "Scaling"})
    assert "operator-1 tries bbbbbbbb again, breached (MetricsBreached) at 51.0 s" in log.told("I9")


def test_i9_holds_when_another_revision_is_tried() -> None:
    log = failed().user(asked("models:/churn/3")).wait(1).look()
    assert "I9" not in log.status(canary=arm(C, 0), rollout={"stage": "Scaling"}).broken()


# --- I10 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["nodata", "failed"])
def test_i10_weight_rises_on_no_evidence(answer: str) -> None:
    log = held().look().metrics(0, answer=answer).weigh(50)
    assert f"the last answer, 0.0 s before, was {answer}" in log.told("I10")


def test_i10_weight_rises_on_too_few_requests() -> None:
    log = rolling().weigh(10).wait(31).look().metrics(49).weigh(50)
    assert "on 49 requests, of 50 that make evidence" in log.told("I10")


def test_i10_holds_when_only_an_answer_was_lost_with_its_process() -> None:
    log = held().look().metrics(0, answer="failed")
    assert log.look().weigh(50).check() == []


def test_i10_a_revision_fails_because_the_source_does() -> None:
    log = held().look().metrics(0, answer="failed")
    log.status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    assert "failed bbbbbbbb without evidence" in log.told("I10")


def test_i10_a_revision_fails_without_an_error() -> None:
    log = (
        held()
        .look()
        .metrics(400)
        .status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    )
    assert "failed bbbbbbbb on 400 requests and not one error" in log.told("I10")


def test_i10_holds_when_there_were_errors_or_something_else_is_judged_too() -> None:
    breached = {"stage": "RollingBack", "breach": BREACH}
    assert "I10" not in held().look().metrics(400, 9).status(rollout=breached).broken()
    latency = {"name": "latency", "type": "Latency", "max": "100ms"}
    spec: dict[str, Any] = {**asked(), "analysis": {"minRequests": 50, "metrics": [latency]}}
    assert "I10" not in held(spec).look().metrics(400).status(rollout=breached).broken()


def test_i10_holds_when_another_source_of_the_same_pass_has_answered() -> None:
    log = held().look().metrics(400, source="pods").metrics(0, answer="failed")
    assert log.weigh(50).check() == []


def test_i10_holds_when_a_revision_fails_because_its_service_is_gone() -> None:
    log = held().remove("services", f"churn-{short(B)}", actor="collector")
    log.look().status(canary=arm(B, 10), rollout={"stage": "Paused", "breach": BREACH})
    assert "I10" not in log.broken()


def test_i10_holds_when_a_revision_fails_because_its_pods_do() -> None:
    log = held().look({A: 2, B: 0}).metrics(0, answer="failed")
    log.status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    assert "I10" not in log.broken()


# --- I11 ------------------------------------------------------------------------------------------


def test_i11_a_new_release_changes_a_pod_template() -> None:
    log = serving()
    log.event("stop", actor="operator-1")
    log.event("start", actor="operator-2", clock_offset=0.0)
    log.actor = "operator-2"
    log.look().child("deployments", A, template=template(A, image="server:2"))
    assert "image from 'server:1' to 'server:2'" in log.told("I11")


def test_i11_a_new_release_starts_a_rollout() -> None:
    log = serving().look().status(canary=arm(B, 0), rollout={"stage": "Scaling"})
    assert "takes in bbbbbbbb after aaaaaaaa although nobody changed" in log.told("I11")


def test_i11_holds_when_pods_are_scaled_and_a_person_asks_for_more() -> None:
    log = held().look()
    log.child("deployments", B, "patch", replicas=5)
    assert "I11" not in log.broken()


# --- I12 ------------------------------------------------------------------------------------------


def test_i12_a_child_is_made_after_the_delete() -> None:
    log = serving()
    log.remove("modeldeployments", "churn", actor="user").wait(1).look()
    log.child("services", B)
    assert "apply services churn-bbbbbbbb by operator-1, 1.0 s after the delete" in log.told("I12")


def test_i12_promote_beats_an_abort() -> None:
    log = held().user(abort=B, promote=B).wait(1).look()
    log.status(stable=arm(B, 100), canary=None, rollout=None)
    assert any("after it was aborted" in str(v) for v in log.check() if v.invariant == "I12")


def test_i12_promote_beats_a_pause() -> None:
    log = rolling().weigh(10).user(pause=short(B), promote=short(B)).wait(1).weigh(50)
    assert "raised bbbbbbbb from 10 to 50, 1.0 s after a pause of it" in log.told("I12")


def test_i12_a_rollout_starts_while_the_spec_is_paused() -> None:
    log = serving().user(asked(paused=True)).wait(1).look().status(canary=arm(B, 0))
    assert "started bbbbbbbb, 1.0 s after rollout.paused" in log.told("I12")


def test_i12_an_old_canary_goes_on_although_another_revision_is_asked_for() -> None:
    log = held().user(asked("models:/churn/3")).wait(1).look()
    target = {"uri": "models:/churn/3", "pinnedURI": "models:/churn/cccccccc"}
    log.status(target=target, canary=arm(B, 50))
    assert "1.0 s after the spec asked for another revision" in log.told("I12")


def test_i12_holds_while_the_new_model_is_being_looked_up() -> None:
    log = held().user(asked("models:/churn/3")).wait(1).weigh(50)
    assert log.check() == []


def test_i12_holds_when_another_revision_or_nothing_is_paused() -> None:
    assert held().user(pause=short(C)).wait(1).weigh(50).check() == []
    assert held().user(pause=short(B)).wait(1).user(other="x").wait(1).weigh(50).check() == []


# --- I13 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("letters", "broken"), [(33_000, True), (31_000, False)])
def test_i13_a_status_of_more_than_32_kib(letters: int, broken: bool) -> None:
    log = serving().look().status(message="x" * letters)
    assert ("I13" in log.broken()) is broken


@pytest.mark.parametrize(("more", "broken"), [(10, True), (9, False)])
def test_i13_more_than_12_objects(more: int, broken: bool) -> None:
    log = serving().look()
    for number in range(more):
        log.child("services", f"v1:{number:064d}"[:3] + f"{number:08d}" + "0" * 56)
    assert ("I13" in log.broken()) is broken
    if broken:
        assert "object 13 of 12 at most" in log.told("I13")


# --- I14 ------------------------------------------------------------------------------------------


def test_i14_an_object_of_nobody_is_taken_over() -> None:
    log = serving()
    log.child("services", B, "create", owner={"uid": "other"}, actor="foreign")
    log.look().child("services", B)
    assert "apply services churn-bbbbbbbb by operator-1, which belongs to nobody" in log.told("I14")


def test_i14_an_object_of_the_object_before_this_one_is_deleted() -> None:
    log = serving()
    log.child("services", B, "create", owner={"controller": True, "uid": "u0"}, actor="foreign")
    log.look().remove("services", f"churn-{short(B)}")
    assert "which belongs to u0" in log.told("I14")


def test_i14_an_object_of_a_namesake_is_changed() -> None:
    log = serving().look()
    uid = log.objects["modeldeployments", "churn"]["metadata"]["uid"]
    log.remove("modeldeployments", "churn", actor="user")
    log.user(SPEC, uid="u2").wait(1).look()
    log.child("services", A)
    assert f"apply services churn-aaaaaaaa by operator-1, which belongs to {uid}" in log.told("I14")


def test_i14_the_operator_writes_a_spec() -> None:
    log = serving().look()
    item = log.objects["modeldeployments", "churn"]
    log.write("patch", "modeldeployments", "churn", item, actor="operator-1")
    assert "only its status is the operator's" in log.told("I14")


def test_i14_events_and_leases_belong_to_nobody() -> None:
    log = serving().look()
    log.write("create", "events", "churn.1", {})
    log.write("patch", "leases", "serinus", {})
    assert log.check() == []


# --- I15 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new", "broken"), [(1, 2, True), (2, 2, False)])
def test_i15_an_older_epoch_writes_after_a_newer_one(old: int, new: int, broken: bool) -> None:
    log = serving()
    log.epoch = new
    log.look().status(message="new leader")
    log.actor, log.epoch = "operator-0", old
    log.wait(3).look().status(message="old leader")
    assert ("I15" in log.broken()) is broken
    if broken:
        assert "with epoch 1, 3.0 s after operator-1 wrote with epoch 2" in log.told("I15")
