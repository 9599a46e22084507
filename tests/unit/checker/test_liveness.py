"""L1 to L3, B1, INV-24 and INV-25: the late log that breaks each, and the one that is just in time."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from handmade import SPEC, A, B, Log, arm, asked, held, rolling, serving, short

DEFAULTS = {**SPEC, "model": {"uri": "models:/churn/2"}, "analysis": {"minRequests": 50}}


# --- L1 -------------------------------------------------------------------------------------------


def test_l1_the_operator_goes_on_writing() -> None:
    log = serving()
    log.event("end", reason="calm")
    log.wait(170).look().status(message="still here")
    log.wait(30).event("end", reason="end")
    assert "30.0 s before the end and 200 s after the last fault" in log.told("L1")


def test_l1_the_route_is_left_with_other_weights_than_committed() -> None:
    log = held().look().status(canary=arm(B, 0), rollout=None).end(200)
    assert "the route has {'aaaaaaaa': 90, 'bbbbbbbb': 10}" in log.told("L1")


def test_l1_a_way_back_never_ends() -> None:
    log = held().look().status(canary=arm(B, 0), rollout={"stage": "RollingBack"})
    assert "stuck in RollingBack" in log.route(weights={A: 100, B: 0}).end(200).told("L1")


def test_l1_holds_for_a_lease_and_for_a_world_that_was_calm_for_too_short_a_time() -> None:
    log = serving()
    log.event("end", reason="calm")
    log.wait(200).write("patch", "leases", "serinus", {})
    log.event("end", reason="end")
    assert log.check() == []
    late = serving().look().status(message="busy")
    assert late.end(30).check() == []


# --- L2 -------------------------------------------------------------------------------------------


def gone(*, leave: str = "") -> Log:
    log = serving()
    log.remove("modeldeployments", "churn", actor="user").wait(1)
    for resource, name in list(log.objects):
        if resource != leave:
            log.remove(resource, name, actor="collector")
    return log


def test_l2_something_is_left_of_a_deleted_object() -> None:
    assert (
        gone(leave="services")
        .end(61)
        .told("L2")
        .endswith("there still are services churn-aaaaaaaa")
    )


def test_l2_what_was_once_owned_is_left_even_without_its_owner_reference() -> None:
    log = serving()
    item = deepcopy(log.objects["services", f"churn-{short(A)}"])
    item["metadata"]["ownerReferences"] = []
    log.write("patch", "services", f"churn-{short(A)}", item)
    log.remove("modeldeployments", "churn", actor="user").wait(1)
    log.remove("deployments", f"churn-{short(A)}", actor="collector")
    log.remove("httproutes", "churn", actor="collector")
    assert log.end(61).told("L2").endswith("there still are services churn-aaaaaaaa")


def test_l2_holds_when_all_is_gone_or_not_yet_due() -> None:
    assert gone().end(61).check() == []
    assert gone(leave="services").end(30).check() == []


# --- L3 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "broken"), [(36.0, True), (34.0, False)])
def test_l3_a_new_spec_is_not_looked_at(seconds: float, broken: bool) -> None:
    log = serving().user(asked()).wait(0.1)
    log.traffic(1, a=[10, 0]).wait(seconds).look().status()
    assert ("L3" in log.broken()) is broken
    if broken:
        assert "generation 2 is not acted on" in log.told("L3")


def test_l3_time_without_an_operator_or_an_api_server_does_not_count() -> None:
    log = serving().user(asked()).wait(1)
    log.event("crash", actor="operator-1", point="idle")
    log.wait(100).event("start", actor="operator-2", clock_offset=0.0)
    log.actor = "operator-2"
    log.look().write("patch", "modeldeployments", "churn", None, code=503, committed=False)
    assert log.wait(100).look().status().check() == []


def test_l3_a_standby_is_no_operator() -> None:
    def run(leader: str) -> set[str]:
        log = serving()
        log.event("start", actor="operator-2", clock_offset=0.0)
        log.event("lease", actor="operator-1", epoch=1)
        log.event("crash", actor="operator-1", point="idle")
        log.user(asked()).wait(1)
        log.event("lease", actor=leader, epoch=2)
        return log.wait(40).look().status().broken()

    assert run("operator-1") == set()
    assert run("operator-2") == {"L3"}


# --- B1 -------------------------------------------------------------------------------------------


def breaching(seconds: int, errors: int = 10) -> Log:
    return rolling(DEFAULTS).weigh(10).traffic(seconds, a=[90, 0], b=[10, errors])


def test_b1_a_breach_keeps_its_weight_for_more_than_a_minute() -> None:
    told = breaching(70).told("B1")
    assert "bbbbbbbb still has weight 10, 61.0 s after its breach began (at most 60 s" in told


def test_b1_holds_when_the_weight_goes_in_time_or_the_errors_are_few() -> None:
    assert breaching(67).look().status(canary=arm(B, 0)).route(weights={A: 100}).check() == []
    assert breaching(200, errors=0).check() == []


@pytest.mark.parametrize(("slow", "broken"), [(0.6, True), (0.01, False)])
def test_b1_answers_that_are_too_slow(slow: float, broken: bool) -> None:
    latency = {"name": "latency", "type": "Latency", "max": "100ms", "quantile": "0.9"}
    spec: dict[str, Any] = {**DEFAULTS, "analysis": {"minRequests": 50, "metrics": [latency]}}
    log = rolling(spec).weigh(10)
    log.event("truth", object="ml/churn", revision=short(B), errors=0.0, slow=slow, ready=True)
    assert ("B1" in log.traffic(70, a=[90, 0], b=[10, 0]).broken()) is broken


@pytest.mark.parametrize(("seconds", "broken"), [(96, False), (100, True)])
def test_b1_one_crash_is_worth_30_seconds(seconds: int, broken: bool) -> None:
    log = breaching(20)
    log.event("crash", actor="operator-1", point="idle")
    log.event("start", actor="operator-2", clock_offset=0.0)
    log.traffic(seconds - 20, a=[90, 0], b=[10, 10])
    assert ("B1" in log.broken()) is broken


def test_b1_is_not_judged_while_something_else_is_broken() -> None:
    log = breaching(20)
    log.event("fault", what="503", actor="operator-1")
    assert log.traffic(100, a=[90, 0], b=[10, 10]).check() == []


def test_b1_grows_with_the_interval_and_the_threshold() -> None:
    spec: dict[str, Any] = {
        **DEFAULTS, "analysis": {"minRequests": 50, "interval": "20s", "failureThreshold": 2},
    }  # fmt: skip
    log = rolling(spec).weigh(10)
    assert log.traffic(70 + 7, a=[90, 0], b=[10, 10]).check() == []
    assert log.traffic(4, a=[90, 0], b=[10, 10]).broken() == {"B1"}


# --- INV-24 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "broken"), [(10.5, True), (9.5, False)])
def test_inv24_an_abort_takes_more_than_ten_seconds(seconds: float, broken: bool) -> None:
    log = held().user(abort=B).wait(0.1).traffic(1, a=[1, 0]).wait(seconds - 0.1)
    log.look().status(canary=arm(B, 0)).route(weights={A: 100, B: 0})
    assert ("INV-24" in log.broken()) is broken


def test_inv24_a_request_that_is_late_stops_the_clock_until_the_next_look() -> None:
    log = held().user(abort=B).wait(0.1).look()
    log.event("fault", what="api late", actor="operator-1", call="patch modeldeployments/status")
    log.traffic(20, a=[1, 0]).look().traffic(8, a=[1, 0])
    assert "INV-24" not in log.broken()
    assert "INV-24" in log.traffic(4, a=[1, 0]).broken()


def test_inv24_waits_for_a_stable_that_can_take_the_traffic() -> None:
    log = held()
    log.child("deployments", A, ready=0, actor="deployments")
    assert "INV-24" not in log.user(abort=B).wait(1).traffic(60, a=[1, 0]).broken()


# --- INV-25 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "broken"), [(36.0, True), (34.0, False)])
def test_inv25_a_deleted_service_stays_away(seconds: float, broken: bool) -> None:
    log = serving().remove("services", f"churn-{short(A)}", actor="foreign")
    log.wait(seconds).look().child("services", A)
    assert ("INV-25" in log.broken()) is broken
    if broken:
        assert "services churn-aaaaaaaa was deleted and has not returned" in log.told("INV-25")


def test_inv25_what_nobody_needs_any_more_may_stay_away() -> None:
    log = held().look().status(canary=None, rollout=None).route(weights={A: 100}).wait(21)
    log.look().remove("services", f"churn-{short(B)}").wait(50).look()
    assert "INV-25" not in log.broken()
