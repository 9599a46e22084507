from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.patches import json_patch, merge_patch, strategic_merge

POD_SPEC = schemas.definitions()["io.k8s.v1.PodSpec"]


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def test_a_merge_patch_removes_nulls_and_replaces_lists() -> None:
    target = {"a": {"b": 1, "c": 2}, "l": [1, 2]}
    assert merge_patch(target, {"a": {"b": None, "d": 3}, "l": [3]}) == {
        "a": {"c": 2, "d": 3},
        "l": [3],
    }
    assert target == {"a": {"b": 1, "c": 2}, "l": [1, 2]}


@pytest.mark.parametrize(
    ("operations", "want"),
    [
        ([{"op": "add", "path": "/l/1", "value": 9}], {"l": [1, 9, 2], "a": {"b/c": 1}}),
        ([{"op": "add", "path": "/l/-", "value": 9}], {"l": [1, 2, 9], "a": {"b/c": 1}}),
        ([{"op": "remove", "path": "/l/0"}], {"l": [2], "a": {"b/c": 1}}),
        ([{"op": "replace", "path": "/a/b~1c", "value": 2}], {"l": [1, 2], "a": {"b/c": 2}}),
        ([{"op": "move", "from": "/l", "path": "/m"}], {"m": [1, 2], "a": {"b/c": 1}}),
    ],
)
def test_json_patch_operations(operations: Any, want: Any) -> None:
    assert json_patch({"l": [1, 2], "a": {"b/c": 1}}, operations) == want


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "test", "path": "/a", "value": 2}, 422),
        ({"op": "remove", "path": "/missing"}, 422),
        ({"op": "replace", "path": "/missing", "value": 1}, 422),
        ({"op": "add", "path": "/missing/deep", "value": 1}, 422),
        ({"op": "add", "path": "/l/7", "value": 1}, 422),
        ({"op": "copy", "path": "/b"}, 400),
        ({"op": "explode", "path": "/a"}, 400),
        ({"path": "/a"}, 400),
    ],
)
def test_a_json_patch_that_cannot_be_applied_is_refused(operation: Any, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        json_patch({"a": 1, "l": []}, [operation])
    assert refused.value.code == code


def test_strategic_merge_merges_lists_by_their_key() -> None:
    live = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    patch = {"containers": [{"name": "b", "image": "2"}]}
    assert strategic_merge(live, patch, POD_SPEC) == {
        "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]
    }


def test_strategic_merge_keeps_the_order_that_the_client_sets() -> None:
    live = {"volumes": named("a", "b")}
    patch = {
        "$setElementOrder/volumes": named("c", "b"),
        "volumes": [*named("b", "c"), {"name": "a", "$patch": "delete"}],
    }
    assert strategic_merge(live, patch, POD_SPEC) == {"volumes": named("c", "b")}


def test_strategic_merge_obeys_its_directives() -> None:
    live = {"containers": named("a"), "volumes": named("v"), "nodeSelector": {"a": "b"}}
    patch = {
        "containers": [{"$patch": "replace"}, {"name": "z"}],
        "nodeSelector": {"$patch": "replace", "c": "d"},
        "volumes": None,
    }
    assert strategic_merge(live, patch, POD_SPEC) == {
        "containers": named("z"),
        "nodeSelector": {"c": "d"},
    }


def test_strategic_merge_replaces_lists_without_a_merge_strategy() -> None:
    live = {"tolerations": [{"key": "a"}]}
    assert strategic_merge(live, {"tolerations": [{"key": "b"}]}, POD_SPEC) == {
        "tolerations": [{"key": "b"}]
    }


def test_strategic_merge_deletes_from_primitive_lists() -> None:
    meta = schemas.definitions()[schemas.OBJECT_META]
    live = {"finalizers": ["a", "b"]}
    patch = {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}
    assert strategic_merge(live, patch, meta) == {"finalizers": ["b", "c"]}
