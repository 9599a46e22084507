"""Inputs of models whose signature has tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serinus_server.protocols.openapi import v2_inputs
from serinus_server.protocols.openapi.asked import NOTHING, Asked, Wanted
from serinus_server.protocols.openapi.values import (
    Schema,
    array,
    element,
    non_empty,
    ref,
    tensor_array,
)
from serinus_server.protocols.v2.datatypes import BYTES, DATATYPES
from serinus_server.runtimes.base import Tensor
from serinus_server.service.payload import Array, Columns, Payload, Records, Split

MOST_VALUES = 2000  # of an example, beyond which it helps nobody


class TensorInput:
    """Requests for a signature of one tensor without a name."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def wanted(self) -> Wanted:
        tensor = self._tensor
        component = tensor_array(tensor)
        component["description"] = _describe(tensor)
        whole = ref("Input")
        forms = {"instances": whole, "inputs": whole}
        predict = whole
        if len(tensor.shape) == 1:  # `/predict` takes objects and arrays, not single values
            cell = element(tensor.dtype)
            predict = non_empty(_record_of(cell, 1))
            if tensor.shape[0] >= 0:
                predict = {**predict, "minItems": tensor.shape[0], "maxItems": tensor.shape[0]}
        is_table = len(tensor.shape) == 2
        if is_table:
            forms["dataframe_split"] = {
                "type": "object", "properties": {"data": whole}, "required": ["data"],
            }  # fmt: skip
            if tensor.shape[1] >= 0:
                record = _record_of(element(tensor.dtype), tensor.shape[1])
                records = {**component, "items": record}
                records["description"] = "Fields in the order of the tensor's columns."
                forms["dataframe_records"] = records
        tensors = v2_inputs.only(_input(tensor, {"type": "string"}))
        csv = is_table and tensor.dtype.kind in "iuf"
        return Wanted({"Input": component}, predict, forms, tensors, csv=csv)

    def asked(self, payload: Payload, most: int) -> Asked:
        match payload:
            case Array(values):
                rows = values
            case Records():
                rows = payload.split().rows
            case Split(_, values):
                rows = values
            case _:
                return NOTHING
        rows = _first(rows, self._tensor, most)
        if rows is None:
            return NOTHING
        forms: dict[str, Any] = {"instances": rows, "inputs": rows}
        predict: dict[str, Any] = {"rows": rows}
        csv = None
        if len(self._tensor.shape) == 1:
            predict = {"records": [{"value": value} for value in rows]}
        if len(self._tensor.shape) == 2:
            forms["dataframe_split"] = {"data": rows}
            records = [{str(at): value for at, value in enumerate(row)} for row in rows]
            forms["dataframe_records"] = records
            lines = [",".join(map(_plain, row)) for row in ([*records[0]], *rows)]
            csv = "\n".join(lines) + "\n"
        return Asked(predict, forms, [_input_of(self._tensor, "input-0", rows)], csv)


class NamedTensors:
    """Requests for a signature of tensors with names."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._names = [str(tensor.name) for tensor in tensors]

    def wanted(self) -> Wanted:
        inputs: Schema = {
            "type": "object",
            "description": "Each tensor as nested arrays.",
            "properties": {str(t.name): tensor_array(t) for t in self._tensors},
            "required": self._names,
        }
        record: Schema = {
            "type": "object",
            "description": "Each tensor's part of one row.",
            "properties": {
                str(tensor.name): array(tensor.dtype, tensor.shape[1:]) for tensor in self._tensors
            },
            "required": self._names,
        }
        records = non_empty(ref("Record"))
        lengths = {tensor.shape[0] for tensor in self._tensors if tensor.shape[0] >= 0}
        if lengths:
            records = {**records, "minItems": min(lengths), "maxItems": max(lengths)}
        alone = [ref("Record")] if lengths <= {1} else []
        tensors = v2_inputs.named(
            {str(t.name): _input(t, {"const": t.name}) for t in self._tensors}, self._names
        )
        return Wanted(
            {"Record": record, "Inputs": inputs},
            {"anyOf": [*alone, records]},
            {"dataframe_records": records, "instances": records, "inputs": ref("Inputs")},
            tensors,
        )

    def asked(self, payload: Payload, most: int) -> Asked:
        if isinstance(payload, Records):
            payload = payload.split()
        if isinstance(payload, Split):
            payload = payload.columns()
        if isinstance(payload, Array) and len(self._tensors) == 1:
            payload = Columns({self._names[0]: payload.values})
        if not isinstance(payload, Columns) or not payload.values.keys() >= set(self._names):
            return NOTHING
        found: dict[str, Any] = {}
        for tensor, name in zip(self._tensors, self._names, strict=True):
            rows = _first(payload.values[name], tensor, most)
            if rows is None:
                return NOTHING
            found[name] = rows
        lengths = set(map(len, found.values()))
        forms: dict[str, Any] = {"inputs": found}
        predict: dict[str, Any] = {}
        if len(lengths) == 1:
            count = lengths.pop()
            records = [{name: rows[at] for name, rows in found.items()} for at in range(count)]
            forms |= {"dataframe_records": records, "instances": records}
            predict = {"records": records}
            if count == 1:
                predict["one record"] = records[0]
        tensors = [_input_of(t, str(t.name), found[str(t.name)]) for t in self._tensors]
        return Asked(predict, forms, tensors)


def _record_of(cell: Schema, fields: int) -> Schema:
    return {
        "type": "object",
        "additionalProperties": cell,
        "minProperties": fields,
        "maxProperties": fields,
        "description": "Fields of any names.",
    }


def _describe(tensor: Tensor) -> str:
    shape = ", ".join("n" if length < 0 else str(length) for length in tensor.shape)
    return f"{tensor.dtype} of shape [{shape}]"


def _input(tensor: Tensor, name: Schema) -> Schema:
    lengths = [
        {"type": "integer", "minimum": 1} if length < 0 else {"const": length}
        for length in tensor.shape
    ]
    count = len(lengths)
    shape = {"type": "array", "prefixItems": lengths, "minItems": count, "maxItems": count}
    datatype = DATATYPES.get(tensor.dtype, BYTES)
    return v2_inputs.tensor(name, {"const": datatype}, shape, element(tensor.dtype))


def _input_of(tensor: Tensor, name: str, values: Any) -> dict[str, Any]:
    array_ = np.array(values, dtype=tensor.dtype if tensor.dtype.kind in "biuf" else object)
    return {
        "name": name,
        "datatype": DATATYPES.get(tensor.dtype, BYTES),
        "shape": list(array_.shape),
        "data": array_.ravel().tolist(),
    }


def _first(values: Any, tensor: Tensor, most: int) -> Any:
    """The first rows of nested lists, where the tensor may have any number; None if too many."""
    if not isinstance(values, (list, tuple)) or not values:
        return None
    rows = list(values[:most]) if tensor.shape[:1] == (-1,) else list(values)
    return rows if np.array(rows, dtype=object).size <= MOST_VALUES else None


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
