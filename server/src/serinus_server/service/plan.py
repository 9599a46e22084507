"""The input plan: the model's signature turned, once, into the checks and conversions of a request.

Whatever a protocol decoded is bound to what the model takes: a Table for a signature of columns,
an array or named arrays for tensors, and an unchanged DataFrame or array where the model has no
signature. Inputs beyond the signature are dropped, as MLflow does; missing ones are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Column, Signature, Table, Tensor, Values
from serinus_server.service.convert import converter_for, describe, to_tensor
from serinus_server.service.payload import Array, Columns, Payload, Records


class InputPlan(Protocol):
    """Binds payloads to the model's input."""

    def bind(self, payload: Payload) -> Any:
        """The model's input.

        Raises:
            InvalidInput: the payload does not fit the signature.
        """


def plan_for(signature: Signature) -> InputPlan:
    """The plan for ``signature``; made once, when the model is loaded."""
    if signature.checked_by_model:
        return RawPlan()
    columns = [spec for spec in signature.inputs if isinstance(spec, Column)]
    tensors = [spec for spec in signature.inputs if isinstance(spec, Tensor)]
    if columns:
        return TablePlan(columns)
    if tensors:
        return TensorPlan(tensors)
    return OpenPlan()


class TablePlan:
    """For signatures of columns: every payload becomes a Table in the signature's order."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._named = columns[0].name is not None
        keys = [
            column.name if column.name is not None else index
            for index, column in enumerate(columns)
        ]
        self._columns = [
            (key, column.required, converter_for(column, str(key)))
            for key, column in zip(keys, columns, strict=True)
        ]

    def bind(self, payload: Payload) -> Table:
        match payload:
            case Records(rows):
                found = self._from_records(rows)
            case Columns(values):
                found = self._from_columns(values)
            case Array(values):
                found = self._by_position(values)
        columns = {key: convert(found[key]) for key, _, convert in self._columns if key in found}
        return Table(columns, max((len(column) for column in columns.values()), default=0))

    def _from_records(self, rows: Sequence[Mapping[str, Any]]) -> dict[str | int, Values]:
        if not self._named:
            raise InvalidInput("the signature's columns have no names: send rows as arrays")
        found: dict[str | int, Values] = {}
        for key, required, _ in self._columns:
            try:
                found[key] = [row[str(key)] for row in rows]
            except KeyError:
                if required:
                    row = next(index for index, row in enumerate(rows) if key not in row)
                    raise _missing(str(key), row) from None
                if any(key in row for row in rows):
                    found[key] = [row.get(str(key)) for row in rows]
        return found

    def _from_columns(self, values: Mapping[str, Values]) -> dict[str | int, Values]:
        if not self._named:
            raise InvalidInput("the signature's columns have no names: send rows as arrays")
        found: dict[str | int, Values] = {}
        length: int | None = None
        for key, required, _ in self._columns:
            if key not in values:
                if required:
                    raise _missing(str(key), None)
                continue
            column = _one_dimensional(values[str(key)], str(key))
            length = len(column) if length is None else length
            if len(column) != length:
                raise InvalidInput(
                    f"has {len(column)} rows where the inputs before it have {length}",
                    field=str(key),
                )
            found[key] = column
        return found

    def _by_position(self, values: Values) -> dict[str | int, Values]:
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


class TensorPlan:
    """For signatures of tensors: one array, or named arrays."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._single = tensors[0] if tensors[0].name is None else None

    def bind(self, payload: Payload) -> Any:
        if self._single is not None:
            return to_tensor(self._matrix(payload), self._single, None)
        return self._named(payload)

    def _matrix(self, payload: Payload) -> Values:
        match payload:
            case Array(values):
                return values
            case Records(rows):
                if not rows:
                    return []
                names = list(rows[0])
                for index, row in enumerate(rows):
                    if list(row) != names:
                        raise InvalidInput("names other inputs than row 0", row=index)
                return [list(row.values()) for row in rows]
            case Columns(values_by_name):
                if len(values_by_name) == 1:
                    return next(iter(values_by_name.values()))
                columns = [_one_dimensional(v, name) for name, v in values_by_name.items()]
                if len({len(column) for column in columns}) > 1:
                    raise InvalidInput("the inputs differ in their number of rows")
                return [list(row) for row in zip(*columns, strict=True)]

    def _named(self, payload: Payload) -> dict[str, Any]:
        match payload:
            case Columns(values):
                found: Mapping[str, Values] = values
            case Array(array) if len(self._tensors) == 1:
                found = {str(self._tensors[0].name): array}
            case Array():
                names = ", ".join(repr(tensor.name) for tensor in self._tensors)
                raise InvalidInput(f"the signature wants inputs by name: {names}")
            case Records(rows):
                found = self._stack(rows)
        bound: dict[str, Any] = {}
        for tensor in self._tensors:
            name = str(tensor.name)
            if name not in found:
                raise _missing(name, None)
            bound[name] = to_tensor(found[name], tensor, name)
        return bound

    def _stack(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
        stacked: dict[str, Values] = {}
        for tensor in self._tensors:
            name = str(tensor.name)
            for index, row in enumerate(rows):
                if name not in row:
                    raise _missing(name, index)
            stacked[name] = [row[name] for row in rows]
        return stacked


class RawPlan:
    """For Python models with type hints, which check plain JSON values themselves."""

    def bind(self, payload: Payload) -> Any:
        match payload:
            case Records(rows):
                return list(rows)
            case Columns(values):
                return {name: _plain(column) for name, column in values.items()}
            case Array(values):
                return _plain(values)


class OpenPlan:
    """For models without a signature: tables stay tables and arrays stay arrays, unchecked."""

    def bind(self, payload: Payload) -> Any:
        import pandas as pd

        try:
            match payload:
                case Records(rows):
                    return pd.DataFrame(list(rows))
                case Columns(values):
                    return pd.DataFrame(dict(values))
                case Array(array):
                    return array if isinstance(array, np.ndarray) else np.array(array)
        except (ValueError, TypeError):
            raise InvalidInput("the rows or inputs differ in length") from None


def _plain(values: Values) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _missing(name: str, row: int | None) -> InvalidInput:
    return InvalidInput("is missing, and the signature requires it", field=name, row=row)


def _one_dimensional(values: Values, name: str) -> Values:
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
