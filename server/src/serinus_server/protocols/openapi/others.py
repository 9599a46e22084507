"""Inputs of models that say little: Python type hints, or no signature at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serinus_server.protocols.openapi import v2_inputs
from serinus_server.protocols.openapi.asked import NOTHING, Asked, Wanted
from serinus_server.protocols.openapi.columns import csv_of
from serinus_server.protocols.openapi.tensors import MOST_VALUES
from serinus_server.protocols.openapi.values import Schema, nested, non_empty, ref
from serinus_server.protocols.v2.datatypes import BYTES, DTYPES
from serinus_server.service.payload import Array, NamedArrays, Payload, Records, Split

_CONTAINERS = ("object", "array")  # what `/predict` takes a list of
_ANY_TENSORS = non_empty(
    v2_inputs.tensor(
        {"type": "string"},
        {"enum": [*DTYPES, BYTES]},
        non_empty({"type": "integer", "minimum": 1}),
        {},
    )
)


class HintedInput:
    """Requests for Python models with type hints, which take a list of JSON values."""

    def __init__(self, declared: Sequence[Mapping[str, Any]]) -> None:
        self._item: Schema = nested(declared[0]) if len(declared) == 1 else {}
        self._type = self._item.get("type")

    def wanted(self) -> Wanted:
        many = non_empty(ref("Item"))
        forms = {"instances": many, "inputs": many}
        predict: Schema | None = None
        if self._type == "object":
            predict = {"anyOf": [ref("Item"), many]}
            forms["dataframe_records"] = many
        elif self._type == "array":
            predict = many
        elif self._type is None:  # any: of those values, /predict can carry objects and arrays
            predict = {"type": ["object", "array"], "minItems": 1}
        tensors = None if self._type in _CONTAINERS else _ANY_TENSORS
        return Wanted({"Item": self._item}, predict, forms, tensors)

    def asked(self, payload: Payload, most: int) -> Asked:
        match payload:
            case Records(rows):
                items = list(rows[:most])
            case Array(list() as values):
                items = values[:most]
            case _:
                return NOTHING
        if not items:
            return NOTHING
        kinds = set(map(type, items))
        forms: dict[str, Any] = {"instances": items, "inputs": items}
        predict: dict[str, Any] = {}
        if kinds == {dict}:
            predict = {"one record": items[0], "records": items}
            forms["dataframe_records"] = items
        elif kinds == {list}:
            predict = {"rows": items}
        tensors = None
        if kinds == {str} and self._type in (None, "string"):
            tensors = [{"name": "input-0", "datatype": BYTES, "shape": [len(items)], "data": items}]
        return Asked(predict, forms, tensors)


class OpenInput:
    """Requests for models without a signature: tables and arrays of anything."""

    def wanted(self) -> Wanted:
        record: Schema = {
            "type": "object",
            "minProperties": 1,
            "description": "One row of a table. The model has no signature: only it knows the columns.",
        }
        row: Schema = {"type": "array", "minItems": 1}
        records, rows = non_empty(ref("Record")), non_empty(ref("Row"))
        split: Schema = {
            "type": "object",
            "properties": {"columns": {"type": "array", "items": {"type": "string"}}, "data": rows},
            "required": ["data"],
        }
        some: Schema = {"type": ["array", "object"]}
        return Wanted(
            {"Record": record, "Row": row},
            {"anyOf": [ref("Record"), records, rows]},
            {
                "dataframe_split": split,
                "dataframe_records": records,
                "instances": some,
                "inputs": some,
            },
            _ANY_TENSORS,
            csv=True,
        )

    def asked(self, payload: Payload, most: int) -> Asked:
        """The forms from which the model gets the same kind of input: a table, or an array."""
        match payload:
            case NamedArrays(values):
                return Asked({}, {"inputs": dict(values)}, None)
            case Records(found):
                return self._table(payload.split(), most) if found else NOTHING
            case Split():
                return self._table(payload, most)
            case Array(list() as values):
                return self._array(values[:most])
            case _:
                return NOTHING

    @staticmethod
    def _table(table: Split, most: int) -> Asked:
        names, rows = list(map(str, table.names)), [list(row) for row in table.rows[:most]]
        records = [dict(zip(names, row, strict=True)) for row in rows]
        if not records:
            return NOTHING
        split = {"columns": list(table.names), "data": rows}
        if isinstance(table.names, range):  # names of another type than those of a record
            return Asked({}, {"dataframe_split": split})
        return Asked(
            {"one record": records[0], "records": records},
            {"dataframe_split": split, "dataframe_records": records},
            None,
            csv_of(names, rows),
        )

    @staticmethod
    def _array(rows: list[Any]) -> Asked:
        try:
            array = np.array(rows)
        except ValueError:  # ragged
            return NOTHING
        if array.size > MOST_VALUES or array.size == 0:
            return NOTHING
        predict = {"rows": rows} if set(map(type, rows)) == {list} else {}
        tensors = None
        if array.dtype.kind in "if":
            datatype = "INT64" if array.dtype.kind == "i" else "FP64"
            data = array.ravel().tolist()
            tensors = [
                {"name": "input-0", "datatype": datatype, "shape": [*array.shape], "data": data}
            ]
        return Asked(predict, {"instances": rows, "inputs": rows}, tensors)
