"""A request's input as protocols hand it over: decoded, not yet held against a signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from serinus_server.runtimes.base import Table, Values


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of named values: ``[{"age": 41, "city": "Oslo"}, ...]``."""

    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Columns:
    """Named inputs, each with all its rows; plain lists, or arrays that know their dtype."""

    values: Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of values, all as long as ``names``, which are distinct."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def columns(self) -> Columns:
        """The same input column by column."""
        return Columns(
            {name: [row[index] for row in self.rows] for index, name in enumerate(self.names)}
        )


@dataclass(frozen=True, slots=True)
class Array:
    """One input without a name: nested lists, or an array that knows its dtype."""

    values: Values


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
    return len(model_input)
