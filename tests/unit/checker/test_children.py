"""Pods, Services and the status: what is kept, what is made, and how much of it."""

from __future__ import annotations

import pytest
from handmade import SPEC, A, B, C, arm, asked, held, serving, short, template

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
