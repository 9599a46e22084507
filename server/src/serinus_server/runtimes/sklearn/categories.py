"""Encoders of categories, as tables of what they make of each category.

An encoder treats each column by itself, so all it can do is known once it was asked, at load, for
every category of every column, and for one that it does not know. Missing values stay with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.fast import Doubt
from serinus_server.runtimes.questions import DTYPES
from serinus_server.runtimes.sklearn.kinds import kind_of, plain_output
from serinus_server.runtimes.sklearn.matrix import Matrix

Place: TypeAlias = "tuple[int, float]"  # a column of the result, and the value there

_MOST = 20_000  # categories of one encoder
_UNKNOWN = "\u2060no category of any model"


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One column: where its values go. All else in the column's part of the result is zero."""

    key: str | int
    known: Mapping[Any, Place]
    unknown: Place | None  # where all others go; None: the encoder refuses them

    def place(self, value: Any) -> Place:
        """Where ``value`` goes.

        Raises:
            Doubt: it is missing, or not known to an encoder that refuses what it does not know.
        """
        found = self.known.get(value)
        if found is None:
            found = self.unknown
            if found is None or value is None or value != value:
                raise Doubt
        return found


class Categories:
    """Writes what an encoder makes of its columns into a matrix of zeros, from ``first`` on."""

    def __init__(self, lookups: Sequence[_Lookup], first: int) -> None:
        self._lookups = [
            _Lookup(
                each.key,
                {value: (first + column, number) for value, (column, number) in each.known.items()},
                None if each.unknown is None else (first + each.unknown[0], each.unknown[1]),
            )
            for each in lookups
        ]

    def __call__(self, table: Table, result: Matrix) -> None:
        """Fill in the rows of ``table``."""
        for lookup in self._lookups:
            column = table.column(lookup.key)
            values = column.tolist() if isinstance(column, np.ndarray) else column
            if len(values) == 1:
                place, number = lookup.place(values[0])
                result[0, place] = number
            else:
                places, numbers = zip(*map(lookup.place, values), strict=True)
                result[np.arange(len(values)), places] = numbers


def encoder_lookups(
    transformer: Any, keys: Sequence[str | int], types: Sequence[str]
) -> tuple[list[_Lookup], int] | None:
    """What ``transformer`` makes of the columns ``keys`` of MLflow's ``types``, and its width.

    None where it is no encoder, or an encoder after an imputer, or where that cannot be told.
    """
    steps = [step for _, step in transformer.steps] if kind_of(transformer) == "Pipeline" else []
    encoder = steps[-1] if steps else transformer
    if not all(map(_only_fills_in, steps[:-1])) or not plain_output(transformer):
        return None
    widths = _widths(encoder)
    if widths is None or sum(map(len, encoder.categories_)) > _MOST:
        return None
    known = [_plain(values) for values in encoder.categories_]
    if not all(known):
        return None
    ask = _asker(transformer, keys, types)
    usual = [values[0] for values in known]
    lookups = []
    first = 0
    for column, width in enumerate(widths):
        rows = [_with(usual, column, value) for value in known[column]]
        encoded = ask(rows)[:, first : first + width]
        found = {
            value: _place(row, first) for value, row in zip(known[column], encoded, strict=True)
        }
        unknown = None
        if (stranger := _stranger(types[column], known[column])) is not None:
            unknown = _unknown(ask, _with(usual, column, stranger), slice(first, first + width))
        lookups.append(_Lookup(keys[column], found, unknown))
        first += width
    return lookups, first


def _only_fills_in(step: Any) -> bool:
    """Whether ``step`` leaves alone everything that is not missing."""
    if kind_of(step) != "SimpleImputer" or step.add_indicator:
        return False
    return step.missing_values is None or step.missing_values != step.missing_values


def _widths(encoder: Any) -> list[int] | None:
    """How many columns the encoder makes of each of its own."""
    match kind_of(encoder):
        case "OneHotEncoder":
            return [int(width) for width in encoder._n_features_outs]  # noqa: SLF001
        case "OrdinalEncoder":
            return [1] * len(encoder.categories_)
        case "TargetEncoder" if encoder.target_type_ in ("binary", "continuous"):
            return [1] * len(encoder.categories_)
    return None


def _plain(categories: Matrix) -> list[Any]:
    """The categories as Python's own values, without missing ones."""
    return [value for value in categories.tolist() if value is not None and value == value]


def _with(usual: list[Any], column: int, value: Any) -> list[Any]:
    return [*usual[:column], value, *usual[column + 1 :]]


def _asker(
    transformer: Any, keys: Sequence[str | int], types: Sequence[str]
) -> Callable[[list[list[Any]]], Matrix]:
    """Asks the transformer as a pipeline does, with a DataFrame of the signature's dtypes."""

    def ask(rows: list[list[Any]]) -> Matrix:
        columns: dict[str | int, Any] = {}
        for place, (key, type_) in enumerate(zip(keys, types, strict=True)):
            values = [row[place] for row in rows]
            columns[key] = values if type_ == "string" else np.array(values, dtype=DTYPES[type_])
        encoded = transformer.transform(Table(columns, len(rows)).frame())
        dense = encoded.toarray() if hasattr(encoded, "toarray") else encoded
        if dense.dtype != np.float64:
            raise Doubt
        return np.asarray(dense)

    return ask


def _stranger(type_: str, known: list[Any]) -> Any:
    """A value of MLflow's ``type_`` that is not among the ``known`` ones; None if there is none."""
    if type_ == "string":
        return _UNKNOWN
    if type_ == "boolean":
        return next((value for value in (False, True) if value not in known), None)
    return max(known) + 1


def _unknown(
    ask: Callable[[list[list[Any]]], Matrix], stranger: list[Any], part: slice
) -> Place | None:
    """Where a row with an unknown category goes; None where it is refused."""
    try:
        row = ask([stranger])[0, part]
    except ValueError:
        return None
    return _place(row, part.start)


def _place(row: Matrix, first: int) -> Place:
    """The one value in ``row`` that is not zero, or a zero.

    Raises:
        Doubt: there are several, as no known encoder has.
    """
    (places,) = np.nonzero(row)
    if len(places) > 1 or np.isnan(row).any() or np.signbit(row[row == 0]).any():
        raise Doubt
    if len(places) == 0:
        return first, 0.0
    return first + int(places[0]), float(row[places[0]])
