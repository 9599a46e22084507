"""The plan of a signature of tensors: requests become one array, or arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Tensor, Values
from serinus_server.service.convert import to_tensor
from serinus_server.service.payload import Array, Columns, Payload, Records, Split
from serinus_server.service.table_plan import missing, one_dimensional


class TensorPlan:
    """For signatures of tensors: one array, or named arrays."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._single = tensors[0] if tensors[0].name is None else None

    def bind(self, payload: Payload) -> Any:
        """The arrays of ``payload``; inputs that the signature does not name are dropped.

        Raises:
            InvalidInput: an input is missing, or is of another shape or kind.
        """
        if self._single is None:
            return self._bind_named(payload)
        match payload:
            case Array(values):
                return to_tensor(values, self._single, None)
            case Records():
                return self._bind_table(payload.split())
            case Split():
                return self._bind_table(payload)
            case Columns(columns):
                return to_tensor(_side_by_side(columns), self._single, None)

    def _bind_table(self, table: Split) -> npt.NDArray[Any]:
        """The one array of a table: its one column's cells, or all its columns as a matrix."""
        assert self._single is not None  # noqa: S101 - bind has seen to it
        if len(table.names) == 1:
            cells = [row[0] for row in table.rows]
            return to_tensor(cells, self._single, None, flattened=True)
        return to_tensor(table.rows, self._single, None)

    def _bind_named(self, payload: Payload) -> dict[str, npt.NDArray[Any]]:
        flattened = False
        match payload:
            case Columns(values):
                found: Mapping[str, Values] = values
            case Split():
                found, flattened = payload.columns().values, True
            case Array(array) if len(self._tensors) == 1:
                found = {str(self._tensors[0].name): array}
            case Array():
                names = ", ".join(repr(tensor.name) for tensor in self._tensors)
                raise InvalidInput(f"the signature wants inputs by name: {names}")
            case Records(rows):
                found, flattened = self._stack(rows), True
        bound: dict[str, npt.NDArray[Any]] = {}
        for tensor in self._tensors:
            name = str(tensor.name)
            if name not in found:
                raise missing(name, None)
            bound[name] = to_tensor(found[name], tensor, name, flattened=flattened)
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


def _side_by_side(columns: Mapping[str, Values]) -> Values:
    """The only input there is, or several columns as the rows of a matrix."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    checked = [one_dimensional(values, name) for name, values in columns.items()]
    if len({len(column) for column in checked}) > 1:
        raise InvalidInput("the inputs differ in their number of rows")
    return [list(row) for row in zip(*checked, strict=True)]
