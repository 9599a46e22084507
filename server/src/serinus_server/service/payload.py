"""A request's input as protocols hand it over: decoded, not yet held against a signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Table, Values


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of named values: ``[{"age": 41, "city": "Oslo"}, ...]``."""

    rows: Sequence[Mapping[str, Any]]

    def split(self) -> Split:
        """The same input with its names apart; every row must have the names of the first.

        Raises:
            InvalidInput: one has other names.
        """
        names = tuple(self.rows[0]) if self.rows else ()
        for index, row in enumerate(self.rows):
            if len(row) != len(names):
                raise InvalidInput("names other inputs than row 0", row=index)
        try:
            return Split(names, [[row[name] for name in names] for row in self.rows])
        except KeyError:
            index = next(i for i, row in enumerate(self.rows) if not set(names) <= row.keys())
            raise InvalidInput("names other inputs than row 0", row=index) from None


@dataclass(frozen=True, slots=True)
class Columns:
    """Named inputs, each with all its rows; plain lists, or arrays that know their dtype."""

    values: Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class NamedArrays(Columns):
    """Named inputs which, where no signature says better, are arrays and no table."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of values, all as long as ``names``, which are distinct.

    Names are numbers where a table had none, as in pandas.
    """

    names: Sequence[str | int]
    rows: Sequence[Sequence[Any]]

    def columns(self) -> Columns:
        """The same input column by column."""
        return Columns(
            {name: [row[index] for row in self.rows] for index, name in enumerate(self.names)}  # type: ignore[misc]
        )


@dataclass(frozen=True, slots=True)
class Array:
    """One input without a name: nested lists or one value, or an array that knows its dtype."""

    values: Any


Payload: TypeAlias = Records | Columns | Split | Array


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered, as the model gave it, and for how many input rows."""

    values: Any
    rows: int


def row_count(model_input: Any) -> int:
    """Rows of an input that is ready for the model: a table, an array, or named arrays."""
    if isinstance(model_input, Table):
        return model_input.rows
    if isinstance(model_input, Mapping):
        return max((row_count(value) for value in model_input.values()), default=0)
    if isinstance(model_input, np.ndarray) and model_input.ndim == 0:
        return 1
    if model_input is None or isinstance(model_input, (str, int, float)):
        return 1  # beside lists, among the JSON values of a model that checks them itself
    return len(model_input)
