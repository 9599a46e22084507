"""Inputs of models whose signature has columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from serinus_server.protocols.openapi import v2_inputs
from serinus_server.protocols.openapi.asked import NOTHING, Asked, Wanted
from serinus_server.protocols.openapi.values import Schema, cell, non_empty, ref
from serinus_server.protocols.v2.datatypes import BYTES
from serinus_server.protocols.v2.model import COLUMN_DATATYPES
from serinus_server.runtimes.base import Column
from serinus_server.service.payload import Array, Columns, Payload, Records, Split

_NUMERIC = frozenset({"integer", "long", "float", "double"})


class ColumnInputs:
    """Requests for a signature of ``columns``, of which ``declared`` is MLflow's JSON."""

    def __init__(self, columns: Sequence[Column], declared: Sequence[Mapping[str, Any]]) -> None:
        self._columns = columns
        self._named = columns[0].name is not None
        self._names = [str(column.name) for column in columns] if self._named else []
        told = declared if len(declared) == len(columns) else [{}] * len(columns)
        self._cells = [cell(column, one) for column, one in zip(columns, told, strict=True)]
        self._required = [str(column.name) for column in columns if column.required]
        # Tensors and CSV carry no arrays or objects in their cells.
        self._flat = all(column.type != "any" for column in columns)

    def wanted(self) -> Wanted:
        count = len(self._columns)
        row: Schema = {
            "type": "array", "prefixItems": self._cells, "minItems": count, "maxItems": count,
            "description": "The values of one row, in the order of the signature's columns.",
        }  # fmt: skip
        rows = non_empty(ref("Row"))
        if not self._named:
            forms = {"dataframe_split": _object({"data": rows}), "instances": rows, "inputs": rows}
            return Wanted({"Row": row}, rows, forms, self._matrix(), csv=self._flat)
        record: Schema = {
            "type": "object",
            "description": "One row. Other fields than these are not looked at.",
            "properties": dict(zip(self._names, self._cells, strict=True)),
            "required": self._required,
        }
        by_column: Schema = {
            "type": "object",
            "description": "Each column with its values, all of one length.",
            "properties": {
                name: non_empty(one) for name, one in zip(self._names, self._cells, strict=True)
            },
            "required": self._required,
        }
        records = non_empty(ref("Record"))
        return Wanted(
            {"Record": record, "Row": row, "Columns": by_column},
            {"anyOf": [ref("Record"), records, rows]},
            {
                "dataframe_split": self._split(rows),
                "dataframe_records": records,
                "instances": {"anyOf": [records, rows]},
                "inputs": {"anyOf": [ref("Columns"), records]},
            },
            self._tensors() if self._flat else None,
            csv=self._flat,
        )

    def asked(self, payload: Payload, most: int) -> Asked:
        found = self._table(payload)
        if found is None:
            return NOTHING
        names, rows = found[0], found[1][:most]
        if not self._named:
            return Asked(
                {"rows": rows},
                {"dataframe_split": {"data": rows}, "instances": rows, "inputs": rows},
                self._matrix_of(rows),
                csv_of([str(index) for index in range(len(self._columns))], rows),
            )
        records = [dict(zip(names, row, strict=True)) for row in rows]
        by_column = {name: [row[index] for row in rows] for index, name in enumerate(names)}
        predict: dict[str, Any] = {"one record": records[0], "records": records}
        if names == self._names:
            predict["rows"] = rows
        return Asked(
            predict,
            {
                "dataframe_split": {"columns": names, "data": rows},
                "dataframe_records": records,
                "instances": records,
                "inputs": by_column,
            },
            self._tensors_of(by_column) if self._flat else None,
            csv_of(names, rows) if self._flat else None,
        )

    def _split(self, rows: Schema) -> Schema:
        columns: Schema = {"enum": [self._names, None]}
        required = ["data"]  # without names, values are taken by their positions
        if len(self._required) < len(self._names):
            columns = {"type": "array", "items": {"enum": self._names}, "uniqueItems": True}
            if self._required:
                columns["allOf"] = [{"contains": {"const": name}} for name in self._required]
            rows = non_empty({"type": "array", "description": "As many values as columns."})
            required = ["columns", "data"]
        return {**_object({"columns": columns, "data": rows}), "required": required}

    def _table(self, payload: Payload) -> tuple[list[str], list[list[Any]]] | None:
        """The names and rows of an input; only the signature's columns, in its order."""
        match payload:
            case Array(values):
                names, rows = list(self._names), values
            case Columns(values):
                names, rows = list(values), list(map(list, zip(*values.values(), strict=True)))
            case Records():
                return self._table(payload.split())
            case Split():
                names, rows = list(map(str, payload.names)), list(map(list, payload.rows))
        if not rows or not self._named:
            return (names, rows) if rows else None
        places = [(name, names.index(name)) for name in self._names if name in names]
        return [name for name, _ in places], [[row[at] for _, at in places] for row in rows]

    def _tensors(self) -> Schema:
        """One tensor for each column."""
        return v2_inputs.named(
            {
                str(column.name): v2_inputs.tensor(
                    {"const": column.name},
                    {"const": _datatype(column)},
                    _COLUMN_SHAPE,
                    _json_cell(one),
                )
                for column, one in zip(self._columns, self._cells, strict=True)
            },
            self._required,
        )

    def _tensors_of(self, by_column: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
        types = {str(column.name): _datatype(column) for column in self._columns}
        return [
            {"name": name, "datatype": types[name], "shape": [len(values)], "data": values}
            for name, values in by_column.items()
        ]

    def _common(self) -> str | None:
        """The datatype of a matrix that holds all columns, or None if there is none."""
        types = {column.type for column in self._columns}
        if len(types) == 1 and types <= COLUMN_DATATYPES.keys() | {"string", "binary", "datetime"}:
            return _datatype(self._columns[0])
        return "FP64" if types <= _NUMERIC else None

    def _matrix(self) -> Schema | None:
        datatype = self._common()
        if datatype is None:
            return None
        shape: Schema = {
            "prefixItems": [{"type": "integer", "minimum": 1}, {"const": len(self._columns)}]
        }
        item = {} if len(set(map(str, self._cells))) > 1 else _json_cell(self._cells[0])
        return v2_inputs.only(
            v2_inputs.tensor({"type": "string"}, {"const": datatype}, _sized(shape, 2), item)
        )

    def _matrix_of(self, rows: list[list[Any]]) -> list[dict[str, Any]] | None:
        if (datatype := self._common()) is None:
            return None
        flat = [value for row in rows for value in row]
        shape = [len(rows), len(self._columns)]
        return [{"name": "input-0", "datatype": datatype, "shape": shape, "data": flat}]


def _sized(schema: Schema, count: int) -> Schema:
    return {"type": "array", **schema, "minItems": count, "maxItems": count}


_COLUMN_SHAPE: Schema = {
    "type": "array",
    "prefixItems": [{"type": "integer", "minimum": 1}, {"const": 1}],
    "minItems": 1,
    "maxItems": 2,
    "description": "[n] or [n, 1]",
}


def _datatype(column: Column) -> str:
    return COLUMN_DATATYPES.get(column.type, BYTES)


def _json_cell(schema: Schema) -> Schema:
    """A cell's schema in a V2 tensor, whose BOOL has no null."""
    return {"type": "boolean"} if schema.get("type") == ["boolean", "null"] else schema


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def csv_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([names, *rows])
    return text.getvalue()
