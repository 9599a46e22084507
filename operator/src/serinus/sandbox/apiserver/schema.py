"""Walks objects along their OpenAPI schema: which fields exist, what is pruned, what is defaulted.

Built-in types come from the installed Kubernetes client's models (see ``models``), custom ones from
their CustomResourceDefinition. Both look the same from here on.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import orjson

from serinus.sandbox.apiserver import models
from serinus.sandbox.apiserver.resources import BUILTINS, Resource

Schema: TypeAlias = Mapping[str, Any]

T = TypeVar("T")

OBJECT_META = "io.k8s.v1.ObjectMeta"
_EMPTY: Schema = {}
_SCALE = "V1Scale"


@functools.cache
def definitions() -> dict[str, Schema]:
    """Return the schemas of all built-in types by their full name."""
    kinds = (models.model_of(res.group, res.version, res.kind) for res in BUILTINS)
    return {**models.definitions([*kinds, _SCALE])}


def clone(value: T) -> T:
    """Return a deep copy of JSON data, several times faster than ``copy.deepcopy``."""
    copied: T = orjson.loads(orjson.dumps(value))
    return copied


def definition_name(resource: Resource) -> str:
    """Return the definition's full name, as OpenAPI documents call it."""
    if resource.custom:
        reversed_group = ".".join(reversed(resource.group.split(".")))
        return f"{reversed_group}.{resource.version}.{resource.kind}"
    model = models.model_of(resource.group, resource.version, resource.kind)
    return models.definition_name(model)


def schema_of(resource: Resource) -> Schema:
    """Return the schema of a resource's objects, with the standard metadata filled in."""
    if not resource.custom:
        return definitions()[definition_name(resource)]
    if resource.schema is None:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return resource.schema


def with_metadata(schema: Schema) -> Schema:
    """Return a custom resource's root schema with apiVersion, kind and ObjectMeta typed."""
    properties = {
        **schema.get("properties", {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": f"#/definitions/{OBJECT_META}"},
    }
    return {**schema, "properties": properties}


def resolve(schema: Schema) -> Schema:
    """Follow ``$ref``; what stands beside it (defaults, list types) wins."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    name = reference.rsplit("/", 1)[1]
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return _combined(name, orjson.dumps(beside)) if beside else definitions()[name]


@functools.cache
def _combined(name: str, beside: bytes) -> Schema:
    return {**definitions()[name], **orjson.loads(beside)}


def field(schema: Schema, name: str) -> Schema | None:
    """Return the schema of a field or map entry; None when the schema does not know it."""
    properties = schema.get("properties")
    if properties is not None and name in properties:
        return resolve(properties[name])
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        return resolve(additional)
    if additional is True:
        return _EMPTY
    return None


def is_declared(schema: Schema, name: str) -> bool:
    """Whether ``name`` is a field of a structure, not an entry of a map."""
    return name in schema.get("properties", _EMPTY)


def items(schema: Schema) -> Schema:
    """Return the schema of a list's items."""
    return resolve(schema.get("items") or _EMPTY)


def list_keys(schema: Schema) -> tuple[str, ...] | None:
    """Return the keys that identify items: () for sets, None for atomic lists."""
    match schema.get("x-kubernetes-list-type"):
        case "map":
            return tuple(schema["x-kubernetes-list-map-keys"])
        case "set":
            return ()
        case "atomic":
            return None
    if "merge" in schema.get("x-kubernetes-patch-strategy", "").split(","):
        key = schema.get("x-kubernetes-patch-merge-key")
        return (key,) if key else ()
    return None


def is_atomic_map(schema: Schema) -> bool:
    """Whether the map or structure has one owner as a whole."""
    return schema.get("x-kubernetes-map-type") == "atomic"


def _accepts_anything(schema: Schema) -> bool:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return True
    # A built-in object type without any declared content (RawExtension, JSON) is free-form.
    return not (schema.keys() & {"properties", "additionalProperties", "items"})


def prune(value: Any, schema: Schema, path: str = "") -> list[str]:
    """Drop unknown fields in place and return their paths."""
    unknown: list[str] = []
    if isinstance(value, dict):
        keep_unknown = _accepts_anything(schema)
        for name in list(value):
            inner = field(schema, name)
            inner_path = f"{path}.{name}" if path else name
            if inner is not None:
                unknown += prune(value[name], inner, inner_path)
            elif schema.get("x-kubernetes-embedded-resource") and name in _EMBEDDED:
                continue
            elif not keep_unknown:
                del value[name]
                unknown.append(inner_path)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            unknown += prune(item, items(schema), f"{path}[{index}]")
    return unknown


_EMBEDDED = frozenset({"apiVersion", "kind", "metadata"})


def apply_defaults(value: Any, schema: Schema) -> None:
    """Fill in declared defaults, in place; a null where null is not allowed counts as absent."""
    if isinstance(value, dict):
        for name, declared in (schema.get("properties") or _EMPTY).items():
            inner = resolve(declared)
            given_null = name in value and bool(inner.get("nullable"))
            if "default" in inner and value.get(name) is None and not given_null:
                value[name] = clone(inner["default"])
            if name in value:
                apply_defaults(value[name], inner)
        additional = schema.get("additionalProperties")
        if isinstance(additional, Mapping):
            inner = resolve(additional)
            for name in value.keys() - (schema.get("properties") or _EMPTY).keys():
                apply_defaults(value[name], inner)
    elif isinstance(value, list) and "items" in schema:
        inner = items(schema)
        for item in value:
            apply_defaults(item, inner)
