"""The model's params: their types and defaults, and how each protocol takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serinus_server.protocols.openapi.values import Schema, nested


def params_schema(declared: Sequence[Mapping[str, Any]]) -> Schema | None:
    """The object of a model's params, of which ``declared`` is MLflow's JSON; None without any."""
    if not declared:
        return None
    return {
        "type": ["object", "null"],
        "description": "Those left out have their defaults; other names are refused.",
        "properties": {str(param["name"]): _param(param) for param in declared},
        "additionalProperties": False,
    }


def _param(declared: Mapping[str, Any]) -> Schema:
    """One param. MLflow takes null for any single value, and integers of any size."""
    schema = nested(declared)
    if isinstance(schema.get("type"), str) and schema["type"] != "object":
        unbounded = {"minimum", "maximum", "format"}
        schema = {key: value for key, value in schema.items() if key not in unbounded}
        schema["type"] = [schema["type"], "null"]
    if declared.get("shape"):  # MLflow has only lists of any length beside single values
        schema = {"type": "array", "items": schema}
    default = declared.get("default")
    return schema if default is None else {**schema, "default": default}
