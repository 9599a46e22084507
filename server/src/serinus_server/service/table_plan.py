"""The plan of a signature of columns: requests become tables, or errors that name column and row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Column, Table, Values
from serinus_server.runtimes.table import Key
from serinus_server.service.convert import converter_for, describe
from serinus_server.service.packing import GIVE_UP, Packer
from serinus_server.service.payload import Array, Columns, Payload, Records, Split

_MOST_PACKERS = 64  # sets of present optional columns that are remembered


class TablePlan:
    """For signatures of columns: every payload becomes a Table in the signature's order."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._named = columns[0].name is not None
        self._keys: list[Key] = [
            column.name if column.name is not None else index
            for index, column in enumerate(columns)
        ]
        self._types = [column.type for column in columns]
        self._columns = [
            (key, column.required, converter_for(column, str(key)))
            for key, column in zip(self._keys, columns, strict=True)
        ]
        self._optional = tuple(key for key, required, _ in self._columns if not required)
        self._packers: dict[tuple[Key, ...], Packer] = {}
        self._whole = self._packer(self._optional)

    def bind(self, payload: Payload) -> Table:
        """The table of ``payload``; columns that the signature does not name are dropped.

        Raises:
            InvalidInput: a column is missing, or a value is of another kind or does not fit.
        """
        if not self._named:
            payload = _without_names(payload)
        try:
            return self._pack(payload)
        except GIVE_UP:
            return self._convert(payload)

    def _pack(self, payload: Payload) -> Table:
        """The table of a regular payload. Raises GIVE_UP."""
        if isinstance(payload, Array):
            values = payload.values
            if isinstance(values, np.ndarray):
                return self._whole.matrix(values)
            if set(map(type, values)) != {list} or set(map(len, values)) != {len(self._keys)}:
                raise ValueError("not rows of just the columns")
            return self._whole.lists(values)
        if isinstance(payload, Records):
            return self._packer_of(payload.rows).records(payload.rows)
        if isinstance(payload, Columns):
            return self._packer_of((payload.values,)).columns(payload.values)
        if payload.names == self._keys:
            return self._whole.lists(payload.rows)
        places: dict[Key, int] = {name: index for index, name in enumerate(payload.names)}
        packer = self._packer_of((places,))
        return packer.rows(payload.rows, packer.getters(places))

    def _packer_of(self, rows: Sequence[Mapping[Any, Any]]) -> Packer:
        """The packer of those optional columns that ``rows`` have; all of the rows or none."""
        if not self._optional:
            return self._whole
        first = rows[0]
        present = tuple(key for key in self._optional if key in first)
        if len(present) < len(self._optional):
            for key in self._optional:
                if key not in first and any(key in row for row in rows):
                    raise KeyError(key)
        return self._packers.get(present) or self._packer(present)

    def _packer(self, present: tuple[Key, ...]) -> Packer:
        taken = [
            index
            for index, (key, required, _) in enumerate(self._columns)
            if required or key in present
        ]
        packer = Packer(
            [self._keys[index] for index in taken],
            [self._types[index] for index in taken],
            [self._columns[index][2] for index in taken],
        )
        if len(self._packers) < _MOST_PACKERS:
            self._packers[present] = packer
        return packer

    def _convert(self, payload: Payload) -> Table:
        """The table of any payload, column by column, or the error that says why there is none."""
        match payload:
            case Records(rows):
                found = self._from_records(rows)
            case Columns(values):
                found = self._from_columns(values)
            case Split():
                found = self._from_columns(payload.columns().values)
            case Array(values):
                found = self._by_position(values)
        columns = {key: convert(found[key]) for key, _, convert in self._columns if key in found}
        return Table(columns, max((len(column) for column in columns.values()), default=0))

    def _from_records(self, rows: Sequence[Mapping[str, Any]]) -> dict[Key, Values]:
        found: dict[Key, Values] = {}
        for key, required, _ in self._columns:
            try:
                found[key] = [row[str(key)] for row in rows]
            except KeyError:
                if required:
                    row = next(index for index, row in enumerate(rows) if key not in row)
                    raise missing(str(key), row) from None
                if any(key in row for row in rows):
                    found[key] = [row.get(str(key)) for row in rows]
        return found

    def _from_columns(self, values: Mapping[str, Values]) -> dict[Key, Values]:
        found: dict[Key, Values] = {}
        length: int | None = None
        for key, required, _ in self._columns:
            if key not in values:
                if required:
                    raise missing(str(key), None)
                continue
            column = one_dimensional(values[str(key)], str(key))
            length = len(column) if length is None else length
            if len(column) != length:
                raise InvalidInput(
                    f"has {len(column)} rows where the inputs before it have {length}",
                    field=str(key),
                )
            found[key] = column
        return found

    def _by_position(self, values: Values) -> dict[Key, Values]:
        count = len(self._columns)
        if isinstance(values, np.ndarray):
            if (
                values.ndim != 2
                or values.shape[1] < count
                or (self._named and values.shape[1] > count)
            ):
                raise InvalidInput(
                    f"has shape {list(values.shape)}, but the signature wants {count} columns"
                )
            return {key: values[:, index] for index, (key, _, _) in enumerate(self._columns)}
        if count == 1 and not any(isinstance(row, list) for row in values):
            return {self._columns[0][0]: values}
        for index, row in enumerate(values):
            if not isinstance(row, list):
                raise InvalidInput(f"is {describe(row)}, not an array of values", row=index)
            # Names would tell which of too many values are meant; positions cannot.
            if len(row) < count or (self._named and len(row) > count):
                raise InvalidInput(
                    f"has {len(row)} values, but the signature wants {count}", row=index
                )
        return {
            key: [row[index] for row in values] for index, (key, _, _) in enumerate(self._columns)
        }


def _without_names(payload: Payload) -> Array:
    """The rows of ``payload``, for columns that are only known by their positions."""
    match payload:
        case Array():
            return payload
        case Records():
            return Array(payload.split().rows)
        case Split(_, rows):
            return Array(rows)
        case Columns():
            raise InvalidInput("the signature's columns have no names: send rows as arrays")


def missing(name: str, row: int | None) -> InvalidInput:
    return InvalidInput("is missing, and the signature requires it", field=name, row=row)


def one_dimensional(values: Values, name: str) -> Values:
    """A column's values; V2 clients send columns as [n] or as [n, 1]."""
    if isinstance(values, np.ndarray):
        if values.ndim == 2 and values.shape[1] == 1:
            return values[:, 0]
        if values.ndim != 1:
            raise InvalidInput(
                f"has shape {list(values.shape)}, but the signature wants a column", field=name
            )
    elif not isinstance(values, (list, tuple)):
        raise InvalidInput(f"is {describe(values)}, not an array of values", field=name)
    return values
