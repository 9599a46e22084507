"""JSON Schemas of single values and of tensors, as the input plan takes them.

Bounds and nulls are what `service.convert` lets pass: null is a missing number, boolean, string,
binary or datetime, but there is no missing integer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from serinus_server.runtimes.base import Column, Tensor

Schema: TypeAlias = dict[str, Any]

_FLOAT32_MAX = 3.4028234663852886e38  # what a double may be to fit into a float
_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def _integer(bits: int, *, signed: bool = True) -> Schema:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    schema: Schema = {"type": "integer", "minimum": low, "maximum": high}
    return {**schema, "format": f"int{bits}"} if signed and bits >= 32 else schema


# By MLflow's words; null is added where it is let pass.
_SCALARS: Mapping[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": _integer(32),
    "long": _integer(64),
    "float": {
        "type": "number", "format": "float", "minimum": -_FLOAT32_MAX, "maximum": _FLOAT32_MAX,
    },
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
    "datetime": {
        "type": "string",
        "format": "date-time-local",
        "description": "ISO 8601 without a time zone, for example 2026-01-31T12:00:00",
    },
}  # fmt: skip
_NEVER_NULL = frozenset({"integer", "long"})


def scalar(type_: str, *, nullable: bool = True) -> Schema:
    """One value of a column of MLflow's type ``type_``; ``any`` is anything."""
    schema = dict(_SCALARS.get(type_, {}))
    if nullable and schema and type_ not in _NEVER_NULL:
        schema["type"] = [schema["type"], "null"]
    return schema


def cell(column: Column, declared: Mapping[str, Any]) -> Schema:
    """One value of ``column``, of which ``declared`` is MLflow's JSON."""
    return scalar(column.type) if column.type in _SCALARS else nested(declared)


def nested(declared: Mapping[str, Any]) -> Schema:
    """A value of a type in MLflow's JSON: a scalar, or arrays, objects and maps of them."""
    match declared.get("type"):
        case "array":
            return {"type": "array", "items": nested(declared.get("items", {}))}
        case "map":
            return {"type": "object", "additionalProperties": nested(declared.get("values", {}))}
        case "object":
            properties = declared.get("properties", {})
            return {
                "type": "object",
                "properties": {name: nested(inner) for name, inner in properties.items()},
                "required": [n for n, inner in properties.items() if inner.get("required", True)],
                "additionalProperties": False,
            }
        case type_:
            return scalar(str(type_), nullable=False)


def element(dtype: np.dtype[Any]) -> Schema:
    """One element of a tensor of ``dtype`` in JSON."""
    if dtype.kind == "b":
        return {"type": "boolean"}
    if dtype.kind in "iu":
        return _integer(8 * dtype.itemsize, signed=dtype.kind == "i")
    if dtype.kind == "f":
        if dtype.itemsize >= 8:
            return scalar("double")
        top = _FLOAT32_MAX if dtype.itemsize == 4 else float(np.finfo(dtype).max)
        return {**scalar("float"), "minimum": -top, "maximum": top}
    return {"type": "string"} if dtype.kind in "US" else {}


def array(dtype: np.dtype[Any], shape: Sequence[int]) -> Schema:
    """Nested arrays of ``shape``, in which -1 stands for any length."""
    schema = element(dtype)
    for length in reversed(shape):
        schema = {"type": "array", "items": schema, "minItems": 1 if length < 0 else length}
        if length >= 0:
            schema["maxItems"] = length
    return schema


def tensor_array(tensor: Tensor) -> Schema:
    """The whole of ``tensor`` as nested arrays."""
    return array(tensor.dtype, tensor.shape)


def non_empty(items: Schema) -> Schema:
    """An array of at least one of ``items``."""
    return {"type": "array", "items": items, "minItems": 1}


def ref(name: str) -> Schema:
    """What the document's components call ``name``."""
    return {"$ref": f"#/components/schemas/{name}"}
