from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.apiserver import fields
from serinus.sandbox.apiserver.apply import Manager, apply_configuration, record_update
from serinus.sandbox.apiserver.apply import to_managed_fields as managed
from serinus.sandbox.apiserver.errors import ApiError

SCHEMA = {
    "type": "object",
    "properties": {
        "size": {"type": "integer"},
        "atomic": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic"},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {}, "value": {}, "extra": {}}},
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def manager(name: str, operation: str = "Apply") -> Manager:
    return Manager(name, operation, "v1", "", "2020-01-01T00:00:00Z", frozenset())


def apply(
    live: dict[str, Any] | None, config: dict[str, Any], name: str = "me", *, force: bool = False
) -> dict[str, Any]:
    body = {"metadata": {}, **config}
    merged, managers = apply_configuration(live, body, manager(name), SCHEMA, force=force)
    return {**merged, "metadata": {"managedFields": managed(managers)}}


def spec(obj: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name != "metadata"}


def test_fields_v1_survives_the_round_trip() -> None:
    tree = {"f:parts": {'k:{"name":"a"}': {".": {}, "f:value": {}}}, "f:set": {'v:"x"': {}}}
    assert fields.to_fields_v1(fields.from_fields_v1(tree)) == tree


def test_a_field_that_is_no_longer_applied_is_removed() -> None:
    live = apply(None, {"size": 1, "labels": {"a": "b", "c": "d"}})
    assert spec(apply(live, {"labels": {"a": "b"}})) == {"labels": {"a": "b"}}


def test_a_field_that_another_manager_applies_too_is_kept() -> None:
    live = apply(None, {"size": 1, "labels": {"a": "b"}})
    live = apply(live, {"size": 1}, "other")
    assert spec(apply(live, {"labels": {"a": "b"}})) == {"size": 1, "labels": {"a": "b"}}


def test_a_keyed_item_goes_with_what_was_defaulted_in_it() -> None:
    live = apply(None, {"parts": [{"name": "a"}, {"name": "b"}]})
    live["parts"][1]["extra"] = "default"
    assert spec(apply(live, {"parts": [{"name": "a"}]})) == {"parts": [{"name": "a"}]}


def test_an_item_goes_although_another_manager_owns_a_field_in_it() -> None:
    live = apply(None, {"parts": [{"name": "a"}, {"name": "b"}]})
    after = {**live, "parts": [{"name": "a"}, {"name": "b", "value": "1"}]}
    entries = record_update(live, after, manager("patcher", "Update"), SCHEMA)
    after["metadata"] = {"managedFields": entries}
    assert spec(apply(after, {"parts": [{"name": "a"}]})) == {"parts": [{"name": "a"}]}


def test_items_of_others_stay_in_keyed_lists_and_sets() -> None:
    live = apply(None, {"parts": [{"name": "a"}], "set": ["x"]})
    live = apply(live, {"parts": [{"name": "b"}], "set": ["y"]}, "other")
    want = {"parts": [{"name": "b"}], "set": ["y", "z"]}
    assert spec(apply(live, {"set": ["z"]})) == want


@pytest.mark.parametrize("field", ["atomic", "whole"])
def test_atomic_values_have_one_owner(field: str) -> None:
    values: dict[str, tuple[Any, Any]] = {"atomic": (["x"], ["y"]), "whole": ({"a": 1}, {"b": 1})}
    first, second = values[field]
    live = apply(None, {field: first})
    with pytest.raises(ApiError) as refused:
        apply(live, {field: second}, "other")
    assert refused.value.details == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "me"',
                "field": f".{field}",
            }
        ]
    }
    assert spec(apply(live, {field: second}, "other", force=True)) == {field: second}


def test_forcing_takes_the_field_from_its_owner() -> None:
    live = apply(None, {"size": 1})
    live = apply(live, {"size": 2}, "other", force=True)
    owners = {entry["manager"] for entry in live["metadata"]["managedFields"]}
    assert owners == {"other"}


def test_the_same_value_is_no_conflict() -> None:
    live = apply(None, {"size": 1})
    live = apply(live, {"size": 1}, "other")
    assert len(live["metadata"]["managedFields"]) == 2


def test_conflicts_name_every_manager_and_field() -> None:
    live = apply(None, {"size": 1, "parts": [{"name": "a", "value": "1"}]})
    with pytest.raises(ApiError) as refused:
        apply(live, {"size": 2, "parts": [{"name": "a", "value": "2"}]}, "other")
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "me":\n- .parts[name="a"].value\n- .size'
    )


def test_an_update_takes_what_it_changes() -> None:
    live = apply(None, {"size": 1, "labels": {"a": "b"}})
    after = {**live, "size": 2}
    entries = record_update(live, after, manager("patcher", "Update"), SCHEMA)
    owned = {entry["manager"]: entry["fieldsV1"] for entry in entries}
    assert owned == {"me": {"f:labels": {"f:a": {}}}, "patcher": {"f:size": {}}}


def test_who_owns_only_a_container_owns_its_content() -> None:
    body = {"labels": {"a": "b"}}
    entry = {**manager("old", "Update").to_dict(), "fieldsV1": {"f:labels": {}}}
    live = {**body, "metadata": {"managedFields": [entry]}}
    with pytest.raises(ApiError) as refused:
        apply(live, {"labels": {"a": "c"}})
    assert refused.value.message.endswith(": .labels.a")


def test_an_update_that_changes_nothing_owns_nothing() -> None:
    live = apply(None, {"size": 1})
    entries = record_update(live, live, manager("patcher", "Update"), SCHEMA)
    assert entries == live["metadata"]["managedFields"]
