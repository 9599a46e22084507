"""The quick way from a request to a table: all columns of one type checked and converted at once.

It takes what fits and never says what does not: on anything irregular it gives up, and the careful
way, column by column, finds the same table or the error that names column and row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.table import (
    ANY,
    OBJECTS,
    TEXT,
    Block,
    Key,
    Layout,
    Table,
    Values,
    kind_of,
)
from serinus_server.service.convert import BELOW_INT64, Converter

# What a request may raise on the quick way; the careful way finds the words for it.
GIVE_UP = (InvalidInput, KeyError, IndexError, TypeError, ValueError, OverflowError)

# The kind of table column that each column type regularly becomes.
_KINDS = {
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "integer": "int32",
    "boolean": "bool",
    "string": TEXT,
    "binary": OBJECTS,
    "datetime": "datetime64[ns]",
    "any": ANY,
}
_NUMBERS = frozenset({int, float, type(None)})
_WHOLE_NUMBERS = frozenset({int, float})

# Flat values, row by row, of so many columns, as a block; None when they are irregular.
_Pack: TypeAlias = "Callable[[Sequence[Any], int], Block | None]"
# Takes a group's values out of one row.
Getter: TypeAlias = "Callable[[Any], Sequence[Any]]"


class Packer:
    """Packs requests that have just the columns ``keys``, of these ``types`` and converters."""

    def __init__(
        self, keys: Sequence[Key], types: Sequence[str], converters: Sequence[Converter]
    ) -> None:
        self.layout = Layout(keys, [_KINDS[name] for name in types])
        self._converters = dict(zip(keys, converters, strict=True))
        self._packs: list[tuple[_Pack, int]] = [
            (_PACKS.get(kind) or self._one_by_one(kind, members), len(members))
            for kind, members in self.layout.groups
        ]
        self._by_name = self.getters({key: key for key in keys})
        positions = self.getters({key: index for index, key in enumerate(keys)})
        self._by_position = positions if len(positions) > 1 else [_whole]

    def getters(self, place: Mapping[Key, Any]) -> list[Getter]:
        """For each group, what takes its values out of a row that has column ``k`` at ``place[k]``.

        Raises:
            KeyError: a column has no place.
        """
        return [_getter([place[key] for key in members]) for _, members in self.layout.groups]

    def records(self, rows: Sequence[Any]) -> Table:
        """The table of rows that are mappings. Raises GIVE_UP."""
        return self.rows(rows, self._by_name)

    def lists(self, rows: Sequence[Any]) -> Table:
        """The table of rows that are lists of exactly the columns. Raises GIVE_UP."""
        return self.rows(rows, self._by_position)

    def rows(self, rows: Sequence[Any], getters: Sequence[Getter]) -> Table:
        """The table of ``rows``, out of which ``getters`` take the groups' values. Raises GIVE_UP."""
        count = len(rows)
        if not getters:
            raise ValueError("no columns, and with them no rows")
        if count == 1:
            row = rows[0]
            return self._table([get(row) for get in getters], 1)
        return self._table([list(chain.from_iterable(map(get, rows))) for get in getters], count)

    def columns(self, values: Mapping[str, Values]) -> Table:
        """The table of named columns: all lists, or all arrays of the right dtypes. Raises GIVE_UP."""
        groups = [get(values) for get in self._by_name]
        found = list(chain.from_iterable(groups))
        if len(set(map(len, found))) != 1:
            raise ValueError("columns differ in length")
        types = set(map(type, found))
        if types == {list}:
            flat = [
                columns[0]
                if len(columns) == 1
                else list(chain.from_iterable(zip(*columns, strict=True)))
                for columns in groups
            ]
            return self._table(flat, len(found[0]))
        if types == {np.ndarray}:
            return self._stack(groups, len(found[0]))
        raise TypeError("neither lists nor arrays")

    def matrix(self, array: npt.NDArray[Any]) -> Table:
        """The table of a matrix (rows, columns) of the one dtype of all columns. Raises GIVE_UP."""
        (kind, members), *others = self.layout.groups
        if others or str(array.dtype) != kind or array.ndim != 2 or array.shape[1] != len(members):
            raise TypeError("not a matrix of the columns' dtype")
        return Table.packed(self.layout, (np.ascontiguousarray(array),), len(array))

    def _table(self, groups: Sequence[Sequence[Any]], rows: int) -> Table:
        blocks: list[Block | None] = []
        regular = True
        for flat, (pack, width) in zip(groups, self._packs, strict=True):
            block = pack(flat, width)
            blocks.append(block)
            if block is None:
                regular = False
        if regular:
            return Table.packed(self.layout, tuple(blocks), rows)  # type: ignore[arg-type]
        return self._mend(groups, blocks, rows)

    def _mend(
        self, groups: Sequence[Sequence[Any]], blocks: Sequence[Block | None], rows: int
    ) -> Table:
        """The table where some groups are irregular, as by nulls: these go column by column."""
        columns: dict[Key, Any] = {}
        for (kind, members), flat, block in zip(self.layout.groups, groups, blocks, strict=True):
            width = len(members)
            for position, key in enumerate(members):
                if block is None:
                    columns[key] = self._converters[key](list(flat[position::width]))
                elif isinstance(block, np.ndarray):
                    columns[key] = block[:, position]
                else:
                    columns[key] = block[position] if kind == ANY else block[position::width]
        return Table({key: columns[key] for key in self.layout.keys}, rows)

    def _one_by_one(self, kind: str, members: Sequence[Key]) -> _Pack:
        """Packs a group of a type that only the converters of its columns understand."""
        converters = [self._converters[key] for key in members]

        def pack(flat: Sequence[Any], width: int) -> Block | None:
            columns = [
                convert(list(flat[position::width])) for position, convert in enumerate(converters)
            ]
            if kind == ANY:
                return columns
            if any(kind_of(column) != kind for column in columns):
                return None
            if kind == OBJECTS:
                return list(chain.from_iterable(zip(*columns, strict=True)))
            return np.column_stack(columns)

        return pack

    def _stack(self, groups: Sequence[Sequence[Any]], rows: int) -> Table:
        """The table of columns that are arrays [n] or, as some V2 clients send them, [n, 1]."""
        blocks: list[Block] = []
        for (kind, _), group in zip(self.layout.groups, groups, strict=True):
            columns = [array.reshape(rows) for array in group if array.ndim in (1, 2)]
            if len(columns) != len(group):
                raise ValueError("an array has too many dimensions")
            if kind == TEXT:
                flat = list(
                    chain.from_iterable(zip(*(array.tolist() for array in columns), strict=True))
                )
                if set(map(type, flat)) != {str}:
                    raise TypeError("not all are strings")
                blocks.append(flat)
            elif all(str(array.dtype) == kind for array in columns):
                blocks.append(np.column_stack(columns))
            else:
                raise TypeError("an array has another dtype")
        return Table.packed(self.layout, tuple(blocks), rows)


def _getter(places: list[Any]) -> Getter:
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)
    return itemgetter(*places)


def _whole(row: Sequence[Any]) -> Sequence[Any]:
    return row


def _floats(dtype: type[np.floating[Any]]) -> _Pack:
    def pack(flat: Sequence[Any], width: int) -> Block | None:
        if not set(map(type, flat)) <= _NUMBERS:
            return None
        return np.array(flat, dtype).reshape(-1, width)

    return pack


def _single_floats(flat: Sequence[Any], width: int) -> Block | None:
    with np.errstate(over="ignore"):
        block = _floats(np.float32)(flat, width)
    return None if block is None or np.isinf(block).any() else block


def _integers(dtype: type[np.integer[Any]]) -> _Pack:
    def pack(flat: Sequence[Any], width: int) -> Block | None:
        types = set(map(type, flat))
        if types != {int}:
            if not types <= _WHOLE_NUMBERS or not all(
                value.is_integer() and value > BELOW_INT64 for value in flat if type(value) is float
            ):
                return None
            flat = list(map(int, flat))
        return np.array(flat, dtype).reshape(-1, width)  # OverflowError when one does not fit

    return pack


def _booleans(flat: Sequence[Any], width: int) -> Block | None:
    if set(map(type, flat)) != {bool}:
        return None
    return np.array(flat, np.bool_).reshape(-1, width)


def _texts(flat: Sequence[Any], _width: int) -> Block | None:
    return list(flat) if set(map(type, flat)) == {str} else None


_PACKS: Mapping[str, _Pack] = {
    "float64": _floats(np.float64),
    "float32": _single_floats,
    "int64": _integers(np.int64),
    "int32": _integers(np.int32),
    "bool": _booleans,
    TEXT: _texts,
}
