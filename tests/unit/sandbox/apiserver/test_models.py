from __future__ import annotations

import pytest

from serinus.sandbox.apiserver import merging, models, schema
from serinus.sandbox.apiserver.resources import BUILTINS


def field(model: str, name: str) -> dict[str, object]:
    found = dict(schema.definitions()[f"io.k8s.{model}"]["properties"][name])
    found.pop("description", None)
    return found


@pytest.mark.parametrize(
    ("model", "name", "want"),
    [
        ("v1.ContainerPort", "containerPort", {"type": "integer", "format": "int32"}),
        ("v1.ObjectMeta", "generation", {"type": "integer", "format": "int64"}),
        ("v1.ObjectMeta", "creationTimestamp", {"type": "string", "format": "date-time"}),
        ("v1.ServicePort", "targetPort", {"type": "string", "format": "int-or-string"}),
        ("v1.PodSpec", "hostNetwork", {"type": "boolean"}),
        ("v1.Deployment", "spec", {"$ref": "#/definitions/io.k8s.v1.DeploymentSpec"}),
        ("v1.Secret", "data",
         {"type": "object", "additionalProperties": {"type": "string", "format": "byte"}}),
        ("v1.JSONSchemaProps", "default", {}),
        ("v1.JSONSchemaProps", "not", {"$ref": "#/definitions/io.k8s.v1.JSONSchemaProps"}),
        ("v1.JSONSchemaProps", "$schema", {"type": "string"}),
        ("v1.Container", "command", {"type": "array", "items": {"type": "string"}}),
    ],
)  # fmt: skip
def test_a_field_has_the_type_that_the_client_gives_it(
    model: str, name: str, want: dict[str, object]
) -> None:
    assert field(model, name) == want


def test_what_the_client_demands_is_required() -> None:
    assert schema.definitions()["io.k8s.v1.Container"]["required"] == ["name"]
    assert "required" not in schema.definitions()["io.k8s.v1.ObjectMeta"]


def test_kinds_of_the_same_name_are_told_apart_by_their_group() -> None:
    assert models.model_of("", "v1", "Event") == "CoreV1Event"
    assert models.model_of("events.k8s.io", "v1", "Event") == "EventsV1Event"


def test_a_kind_that_the_client_does_not_know_is_an_error() -> None:
    with pytest.raises(LookupError, match="no model of Nothing in apps/v1"):
        models.model_of("apps", "v1", "Nothing")


def test_every_kind_served_has_a_schema_and_every_reference_a_target() -> None:
    for resource in BUILTINS:
        assert schema.schema_of(resource)["properties"].keys() >= {"apiVersion", "kind", "metadata"}
    for definition in schema.definitions().values():
        for declared in definition["properties"].values():
            for part in (declared, declared.get("items", {})):
                schema.resolve(part)


def test_every_list_of_the_table_exists_and_its_items_have_the_keys() -> None:
    by_type = {name.rpartition(".")[2]: found for name, found in schema.definitions().items()}
    for owner, lists in merging._KEYED.items():
        for name, keys in lists.items():
            items = schema.items(by_type[owner]["properties"][name])
            assert items["properties"].keys() >= set(keys.split()), f"{owner}.{name}"
    for owner, sets in merging._SETS.items():
        assert by_type[owner]["properties"].keys() >= sets, owner
    assert by_type.keys() >= merging._ATOMIC_TYPES
    for path in [*merging._REPLACED, *merging._RETAIN_KEYS, *merging._ATOMIC_FIELDS]:
        owner, _, name = path.partition(".")
        assert name in by_type[owner]["properties"], path
