"""What is written, and what is left alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.status import ModelDeploymentStatus
from serinus.reconcile.act import merge_patch, stored
from serinus.reconcile.observe import ready_addresses
from serinus.reconcile.pods import problem_of
from serinus.reconcile.read import read_spec
from serinus.render.subset import covers

JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=4)
        | st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("abc", min_size=1, max_size=2), JSON, max_size=4)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, word for word."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


@given(OBJECTS, OBJECTS)
def test_the_merge_patch_leads_from_before_to_after(before: dict, after: dict) -> None:
    assert merged(before, merge_patch(before, after)) == after


@given(OBJECTS)
def test_nothing_changed_is_an_empty_patch(value: dict) -> None:
    assert merge_patch(value, value) == {}


@given(OBJECTS, OBJECTS)
def test_an_applied_manifest_is_covered(live: dict, wanted: dict) -> None:
    assert covers({**live, **wanted}, wanted)


def test_an_item_too_much_in_a_list_of_ours_is_a_difference() -> None:
    assert not covers({"a": [1, 2]}, {"a": [1]})


def test_a_status_without_empty_strings_reads_back_as_it_was() -> None:
    status = ModelDeploymentStatus()
    assert "" not in stored(status).values()
    assert ModelDeploymentStatus.model_validate(stored(status)) == status


def test_a_spec_that_cannot_be_read_names_every_field() -> None:
    found = read_spec({"model": {"uri": "models:/a/1"}, "rollout": {"steps": [{"weight": 0}]}})
    assert found.message == (
        "spec.rollout.steps[0].weight: Input should be greater than or equal to 1"
    )


def pod(name: str, **container: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"containerStatuses": [container]}}


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        ([pod("p", state={"waiting": {"reason": "ContainerCreating"}})], ""),
        (
            [pod("p", state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}})],
            "pod p: ErrImagePull: no such image",
        ),
        (
            [
                pod(
                    "p",
                    state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    lastState={"terminated": {"exitCode": 1, "message": "digest differs\n"}},
                )
            ],
            "pod p ended: digest differs (exit code 1)",
        ),
        (
            [pod("p", state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})],
            "pod p ended: OOMKilled (exit code 137)",
        ),
    ],
)
def test_the_problem_of_a_pod_in_the_kubelets_own_words(pods: list, want: str) -> None:
    assert problem_of({}, pods) == want


def test_only_ready_endpoints_of_our_own_services_count() -> None:
    def endpoint_slice(owner: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
        labels = {"serinus.dev/revision": "r1"}
        metadata = {"labels": labels, "ownerReferences": [{"kind": "Service", "uid": owner}]}
        return {"metadata": metadata, "endpoints": list(endpoints)}

    slices = [
        endpoint_slice(
            "ours",
            {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
            {"addresses": ["10.0.0.3"]},
        ),
        endpoint_slice("somebody's", {"addresses": ["169.254.169.254"]}),
    ]
    assert ready_addresses(slices, {"ours"}) == {"r1": ("10.0.0.1", "10.0.0.3")}
