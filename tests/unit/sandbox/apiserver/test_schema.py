from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.apiserver import cel, schema, validation
from serinus.sandbox.apiserver.errors import Cause

STEPS = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "steps": {
                    "type": "array",
                    "maxItems": 2,
                    "items": {
                        "type": "object",
                        "required": ["weight"],
                        "properties": {
                            "weight": {"type": "integer", "minimum": 0, "maximum": 100},
                            "hold": {"type": "string", "default": "1m", "pattern": "^[0-9]+m$"},
                        },
                    },
                },
                "port": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True, "default": "n"},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "mode": {"enum": ["A", "B"], "type": "string"},
            },
        }
    },
}


def causes(spec: dict[str, Any]) -> list[Cause]:
    return validation.validate({"spec": spec}, STEPS)


def test_a_violation_names_the_path_with_its_index() -> None:
    assert causes({"steps": [{"weight": 5}, {"weight": 120}]}) == [
        Cause(
            "spec.steps[1].weight",
            "FieldValueInvalid",
            "Invalid value: 120: spec.steps[1].weight in body should be less than or equal to 100",
        )
    ]


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"steps": [{}]}, "spec.steps[0].weight", "Required value"),
        ({"steps": {}}, "spec.steps",
         'Invalid value: "object": spec.steps in body must be of type array: "object"'),
        ({"mode": "C"}, "spec.mode", 'Unsupported value: "C": supported values: "A", "B"'),
        ({"port": True}, "spec.port",
         'Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"'),
        ({"steps": [{"weight": 1, "hold": "x"}]}, "spec.steps[0].hold",
         "Invalid value: \"x\": spec.steps[0].hold in body should match '^[0-9]+m$'"),
    ],
)  # fmt: skip
def test_messages_are_those_of_kubernetes(spec: Any, field: str, message: str) -> None:
    (cause,) = causes(spec)
    assert (cause.field, cause.message) == (field, message)


def test_unknown_fields_are_pruned_and_reported() -> None:
    obj = {"spec": {"steps": [{"weight": 1, "x": 1}], "any": {"y": 1}, "z": 1}}
    assert sorted(schema.prune(obj, STEPS)) == ["spec.steps[0].x", "spec.z"]
    assert obj == {"spec": {"steps": [{"weight": 1}], "any": {"y": 1}}}


def test_defaults_fill_what_is_absent_but_not_an_allowed_null() -> None:
    obj: dict[str, Any] = {"spec": {"steps": [{"weight": 1}], "note": None}}
    schema.apply_defaults(obj, STEPS)
    assert obj == {"spec": {"steps": [{"weight": 1, "hold": "1m"}], "note": None}}


def test_a_builtin_type_knows_its_fields_and_lists() -> None:
    pod_spec = schema.definitions()["io.k8s.v1.PodSpec"]
    containers = schema.field(pod_spec, "containers")
    assert containers is not None
    assert schema.list_keys(containers) == ("name",)
    assert schema.field(pod_spec, "nothing") is None


RULED = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-validations": [
                {"rule": "self.low <= self.high", "message": "low is above high"}
            ],
            "properties": {
                "low": {"type": "integer"},
                "high": {"type": "integer"},
                "namespace": {
                    "type": "string",
                    "x-kubernetes-validations": [
                        {"rule": "self == oldSelf", "message": "is final", "reason": "FieldValueForbidden"}
                    ],
                },
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
                        "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n"}],
                    },
                },
            },
        }
    },
}  # fmt: skip


def ruled(spec: Any, old: Any = None) -> list[tuple[str, str]]:
    before = {"spec": old} if old is not None else None
    found = cel.check_object({"spec": spec}, before, RULED, [])
    return [(cause.field, cause.message) for cause in found]


def test_a_broken_rule_tells_its_message() -> None:
    assert ruled({"low": 2, "high": 1}) == [("spec", 'Invalid value: "object": low is above high')]
    assert ruled({"low": 1, "high": 1}) == []


def test_a_rule_that_cannot_be_evaluated_is_a_violation() -> None:
    ((field, message),) = ruled({"low": 2})
    assert field == "spec"
    assert "rule evaluation error" in message


def test_transition_rules_compare_with_the_old_value_only_when_there_is_one() -> None:
    values = {"low": 1, "high": 1}
    assert ruled({**values, "namespace": "a"}) == []
    assert ruled({**values, "namespace": "b"}, {**values, "namespace": "a"}) == [
        ("spec.namespace", "Forbidden: is final")
    ]


def test_items_of_keyed_lists_are_compared_with_their_old_self() -> None:
    old = {"low": 1, "high": 1, "parts": [{"name": "a", "n": 1}, {"name": "b", "n": 5}]}
    new = {"low": 1, "high": 1, "parts": [{"name": "b", "n": 4}, {"name": "c", "n": 0}]}
    assert ruled(new, old) == [
        ("spec.parts[0]", 'Invalid value: "object": failed rule: self.n >= oldSelf.n')
    ]


def test_what_a_write_does_not_change_is_not_its_fault() -> None:
    broken = {"low": 2, "high": 1}
    assert ruled(broken, broken) == []


def test_rules_are_not_evaluated_on_an_object_of_the_wrong_shape() -> None:
    earlier = [Cause("spec.low", "FieldValueRequired", "Required value")]
    (cause,) = cel.check_object({"spec": {}}, None, RULED, earlier)
    assert cause.field == "<nil>"
    assert "some validation rules were not checked" in cause.message
