"""Encoders of categories, as tables of what they make of each category.

An encoder treats each column by itself, so all it can do is known once it was asked, at load, for
every category of every column, for one that it does not know, and for nulls among strings.
Missing numbers stay with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.fast import Doubt
from serinus_server.runtimes.parity import quiet
from serinus_server.runtimes.questions import DTYPES
from serinus_server.runtimes.sklearn.kinds import kind_of, plain_output
from serinus_server.runtimes.sklearn.matrix import Matrix

Place: TypeAlias = "tuple[int, float]"  # a column of the result, and the value there

_MOST = 20_000  # categories of one encoder
_UNKNOWN = "\u2060no category of any model"


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One column: where its values go. All else in the column's part of the result is zero.

    A place that is None means that the encoder refuses the value. Null strings have two places,
    because pandas makes NaN of a null among strings, but leaves a column of nulls alone as it is.
    """

    key: str | int
    known: Mapping[Any, Place]
    unknown: Place | None = None
    null_among_strings: Place | None = None
    nulls_only: Place | None = None

    def place(self, value: Any, only_nulls: bool) -> Place:
        """Where ``value`` goes, in a column that has, or has not, ``only_nulls``.

        Raises:
            Doubt: the encoder refuses it, or it is a missing number.
        """
        found = self.known.get(value)
        if found is None:
            if value is None:
                found = self.nulls_only if only_nulls else self.null_among_strings
            elif value == value:
                found = self.unknown
            if found is None:
                raise Doubt
        return found

    def moved(self, columns: int) -> _Lookup:
        """The same, so many columns further to the right."""
        others = (self.unknown, self.null_among_strings, self.nulls_only)
        return _Lookup(
            self.key,
            {value: (column + columns, number) for value, (column, number) in self.known.items()},
            *(None if place is None else (place[0] + columns, place[1]) for place in others),
        )


class Categories:
    """Writes what an encoder makes of its columns into a matrix of zeros, from ``first`` on."""

    def __init__(self, lookups: Sequence[_Lookup], first: int) -> None:
        self._lookups = [lookup.moved(first) for lookup in lookups]

    def __call__(self, table: Table, result: Matrix) -> None:
        """Fill in the rows of ``table``."""
        for lookup in self._lookups:
            column = table.column(lookup.key)
            values = column.tolist() if isinstance(column, np.ndarray) else column
            if len(values) == 1:
                place, number = lookup.place(values[0], True)
                result[0, place] = number
            else:
                only_nulls = values[0] is None and all(value is None for value in values)
                found = [lookup.place(value, only_nulls) for value in values]
                places, numbers = zip(*found, strict=True)
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
        part = slice(first, first + width)
        rows = [_with(usual, column, value) for value in known[column]]
        places = [_place(row, first) for row in ask(rows)[:, part]]
        others = [
            None if asked is None else _outcome(ask, asked, part)
            for asked in _others(usual, column, types[column], known[column])
        ]
        found = dict(zip(known[column], places, strict=True))
        lookups.append(_Lookup(keys[column], found, *others))
        first += width
    return lookups, first


def _others(
    usual: list[Any], column: int, type_: str, known: list[Any]
) -> Iterator[list[list[Any]] | None]:
    """Rows of which the last has an unknown value, a null among strings, and a null alone."""
    stranger = _stranger(type_, known)
    yield None if stranger is None else [_with(usual, column, stranger)]
    null = _with(usual, column, None)
    yield [usual, null] if type_ == "string" else None
    yield [null] if type_ == "string" else None


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


def _outcome(
    ask: Callable[[list[list[Any]]], Matrix], rows: list[list[Any]], part: slice
) -> Place | None:
    """Where the last of ``rows`` goes; None where it is refused."""
    try:
        with quiet():
            row = ask(rows)[-1, part]
    except (ValueError, TypeError):
        return None
    return _place(row, part.start)


def _place(row: Matrix, first: int) -> Place:
    """The one value in ``row`` that is not zero, or a zero.

    Raises:
        Doubt: there are several, as no known encoder has.
    """
    (places,) = np.nonzero(row)
    if len(places) > 1 or np.signbit(row[row == 0]).any():
        raise Doubt
    if len(places) == 0:
        return first, 0.0
    return first + int(places[0]), float(row[places[0]])
