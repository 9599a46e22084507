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
from serinus_server.runtimes.base import Column, Signature, Tensor, Values
from serinus_server.service.convert import to_tensor
from serinus_server.service.payload import Array, Columns, Payload, Records, Split
from serinus_server.service.table_plan import TablePlan, missing, one_dimensional


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
                return _values_of(rows)
            case Split(names, rows) if len(names) > 1:
                return rows
            case Split():
                return self._matrix(payload.columns())
            case Columns(values_by_name):
                if len(values_by_name) == 1:
                    return next(iter(values_by_name.values()))
                columns = [one_dimensional(v, name) for name, v in values_by_name.items()]
                if len({len(column) for column in columns}) > 1:
                    raise InvalidInput("the inputs differ in their number of rows")
                return [list(row) for row in zip(*columns, strict=True)]

    def _named(self, payload: Payload) -> dict[str, Any]:
        match payload:
            case Columns(values):
                found: Mapping[str, Values] = values
            case Split():
                found = payload.columns().values
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
                raise missing(name, None)
            bound[name] = to_tensor(found[name], tensor, name)
        return bound

    def _stack(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
        stacked: dict[str, Values] = {}
        for tensor in self._tensors:
            name = str(tensor.name)
            for index, row in enumerate(rows):
                if name not in row:
                    raise missing(name, index)
            stacked[name] = [row[name] for row in rows]
        return stacked


def _values_of(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """The rows' values without their names, which must be the same, in the same order."""
    names = list(rows[0]) if rows else []
    for index, row in enumerate(rows):
        if list(row) != names:
            raise InvalidInput("names other inputs than row 0", row=index)
    return [list(row.values()) for row in rows]


class RawPlan:
    """For Python models with type hints, which check plain JSON values themselves."""

    def bind(self, payload: Payload) -> Any:
        match payload:
            case Records(rows):
                return list(rows)
            case Split():
                return dict(payload.columns().values)
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
                case Split():
                    return pd.DataFrame(dict(payload.columns().values))
                case Columns(values):
                    return pd.DataFrame(dict(values))
                case Array(array):
                    return array if isinstance(array, np.ndarray) else np.array(array)
        except (ValueError, TypeError):
            raise InvalidInput("the rows or inputs differ in length") from None


def _plain(values: Values) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values
