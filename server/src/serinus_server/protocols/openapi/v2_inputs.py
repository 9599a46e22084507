"""Schemas of ``inputs`` in Open Inference V2."""

from __future__ import annotations

from collections.abc import Mapping

from serinus_server.protocols.openapi.values import Schema, non_empty


def tensor(name: Schema, datatype: Schema, shape: Schema, item: Schema) -> Schema:
    """One tensor with its data in JSON."""
    return {
        "type": "object",
        "properties": {
            "name": name,
            "datatype": datatype,
            "shape": shape,
            "data": {
                **non_empty(item),
                "description": "Row-major; flat, or nested as the shape says.",
            },
        },
        "required": ["name", "datatype", "shape", "data"],
    }


def named(tensors: Mapping[str, Schema], required: list[str]) -> Schema:
    """Some of ``tensors`` in any order, with all of ``required``."""
    schema = non_empty({"anyOf": list(tensors.values())})
    if required:
        schema["allOf"] = [
            {"contains": {"properties": {"name": {"const": name}}, "required": ["name"]}}
            for name in required
        ]
    return schema


def only(one: Schema) -> Schema:
    """Just one tensor."""
    return {**non_empty(one), "maxItems": 1}
