"""A table between the input plan and the model: columns packed by type, and no pandas until asked.

Building a DataFrame costs hundreds of microseconds, and converting 30 columns one by one nearly as
much. So columns of one type share a block, which the plan fills in one pass, and from which a
runtime takes a matrix without copying where it can.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Values: TypeAlias = "Sequence[Any] | npt.NDArray[Any]"
Key: TypeAlias = "str | int"
Block: TypeAlias = "npt.NDArray[Any] | list[Any]"

# A column's kind is the name of its NumPy dtype, or one of these for lists. They are apart where
# pandas makes other dtypes of them, so that tables of equal layout have frames of equal dtypes.
TEXT = "text"  # str, and perhaps None, but not only
NULL = "null"  # None only
OBJECTS = "objects"  # bytes, or booleans, among them perhaps None
ANY = "any"  # what pandas makes of it depends on all the values

_LISTS = frozenset({TEXT, NULL, OBJECTS, ANY})
_NOTHING = type(None)
_OBJECTS = ({bytes}, {bytes, _NOTHING}, {bool, _NOTHING})


def kind_of(values: Values) -> str:
    """The kind of a column of ``values``."""
    if isinstance(values, np.ndarray):
        return str(values.dtype) if values.ndim == 1 and values.dtype.kind in "biufM" else ANY
    if not isinstance(values, (list, tuple)):
        return ANY
    types = set(map(type, values))
    if str in types and types <= {str, _NOTHING}:
        return TEXT
    if types == {_NOTHING}:
        return NULL
    return OBJECTS if types in _OBJECTS else ANY


class Layout:
    """Which columns a table has, of which kinds, and where its blocks hold them. Hashable.

    Columns of one kind share a block, in their order; blocks are in the order of their first
    columns. Tables of equal layouts have equal columns and dtypes.
    """

    __slots__ = ("_hash", "_selections", "groups", "keys", "kinds", "mergeable", "places")

    def __init__(self, keys: Sequence[Key], kinds: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self.kinds = tuple(kinds)
        grouped: dict[str, list[Key]] = {}
        for key, kind in zip(self.keys, self.kinds, strict=True):
            grouped.setdefault(kind, []).append(key)
        self.groups = tuple((kind, tuple(members)) for kind, members in grouped.items())
        self.places: Mapping[Key, tuple[int, int]] = {
            key: (block, position)
            for block, (_, members) in enumerate(self.groups)
            for position, key in enumerate(members)
        }
        self.mergeable = ANY not in grouped
        self._hash = hash((self.keys, self.kinds))
        self._selections: dict[tuple[Key, ...], _Selection | None] = {}

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Layout) and self.keys == other.keys and self.kinds == other.kinds

    def kind(self, key: Key) -> str:
        """The kind of the column ``key``: its dtype's name, or one of this module's constants."""
        return self.groups[self.places[key][0]][0]

    def selection(self, keys: tuple[Key, ...]) -> _Selection | None:
        """How to gather ``keys`` into one matrix; None where one is absent or is no number.

        Remembered: ask only for keys that the model fixes, never for a request's.
        """
        try:
            return self._selections[keys]
        except KeyError:
            return self._selections.setdefault(keys, self._select(keys))

    def _select(self, keys: tuple[Key, ...]) -> _Selection | None:
        parts: dict[int, tuple[list[int], list[int]]] = {}
        for target, key in enumerate(keys):
            place = self.places.get(key)
            if place is None or self.groups[place[0]][0][0] not in "biuf":
                return None
            targets, sources = parts.setdefault(place[0], ([], []))
            targets.append(target)
            sources.append(place[1])
        return tuple(
            (block, _slice(targets), _slice(sources)) for block, (targets, sources) in parts.items()
        )


# For each block that takes part: its number, the columns of the matrix, the columns of the block.
_Selection: TypeAlias = "tuple[tuple[int, slice | list[int], slice | list[int]], ...]"


def _slice(numbers: list[int]) -> slice | list[int]:
    """``numbers`` as a slice where they follow each other: slices neither copy nor search."""
    first = numbers[0]
    return slice(first, first + len(numbers)) if _consecutive(numbers) else numbers


def _consecutive(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


class Table:
    """An input that fits a signature of columns: their converted values, in its order.

    Keys are names, or positions where the signature has no names; optional columns may be absent.
    A table is never changed once it is made, and what its methods return must not be changed
    either: it may be the table's own memory.
    """

    __slots__ = ("_blocks", "_columns", "_layout", "rows")

    def __init__(
        self,
        columns: Mapping[Key, Values] | None,
        rows: int,
        layout: Layout | None = None,
        blocks: tuple[Block, ...] = (),
    ) -> None:
        """A table of ``columns``, each of ``rows`` values; ``packed`` makes one of blocks."""
        self._columns = columns
        self._layout = layout
        self._blocks = blocks
        self.rows = rows

    @classmethod
    def packed(cls, layout: Layout, blocks: tuple[Block, ...], rows: int) -> Table:
        """A table of ready blocks, one for each of the layout's groups.

        Blocks of numbers, booleans and datetimes are arrays (rows, columns of the group). ``TEXT``,
        ``NULL`` and ``OBJECTS`` are flat lists, row by row. ``ANY`` is a list of whole columns.
        """
        return cls(None, rows, layout, blocks)

    @staticmethod
    def concat(tables: Sequence[Table]) -> Table:
        """The rows of all ``tables``, which have equal keys that are not None, in their order."""
        first = tables[0]
        if len(tables) == 1:
            return first
        parts = zip(*(table.blocks for table in tables), strict=True)
        return Table.packed(
            first.layout,
            tuple(
                list(chain.from_iterable(blocks))
                if isinstance(blocks[0], list)
                else np.concatenate(blocks)
                for blocks in parts
            ),
            sum(table.rows for table in tables),
        )

    @property
    def layout(self) -> Layout:
        """The table's columns and their kinds."""
        if self._layout is None:
            self._pack()
        return self._layout  # type: ignore[return-value]  # _pack has set it

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The values; see ``packed`` for their form."""
        if self._layout is None:
            self._pack()
        return self._blocks

    @property
    def key(self) -> Hashable | None:
        """Equal for tables that ``concat`` may join; None for a table that has to stay alone.

        Every column of the joined table has the dtype, in a DataFrame too, that it has alone.
        """
        layout = self.layout
        return layout if layout.mergeable else None

    @property
    def columns(self) -> Mapping[Key, Values]:
        """Every column's values: arrays (rows,) for numbers, booleans and datetimes; lists else."""
        if self._columns is None:
            self._columns = {key: self.column(key) for key in self.layout.keys}
        return self._columns

    def column(self, key: Key) -> Values:
        """One column's values, as in ``columns``.

        Raises:
            KeyError: there is no such column.
        """
        if self._columns is not None:
            return self._columns[key]
        layout = self.layout
        number, position = layout.places[key]
        block = self._blocks[number]
        if isinstance(block, np.ndarray):
            return block[:, position]
        kind, members = layout.groups[number]
        column: Values = block[position] if kind == ANY else block[position :: len(members)]
        return column

    def matrix(self, keys: tuple[Key, ...]) -> npt.NDArray[np.float64] | None:
        """The columns ``keys`` side by side as float64 (rows, columns), in C order.

        None where one of them is absent, or is neither number nor boolean. int64 beyond 2^53 is
        rounded to the nearest double, and float32 widened, as NumPy casts them.
        """
        selection = self.layout.selection(keys)
        if selection is None:
            return None
        if len(selection) == 1:
            block, _, sources = selection[0]
            array: npt.NDArray[Any] = self._blocks[block]  # type: ignore[assignment]
            if type(sources) is list or len(keys) != array.shape[1]:
                array = array[:, sources]
            return np.ascontiguousarray(array, dtype=np.float64)
        gathered = np.empty((self.rows, len(keys)))
        for block, targets, sources in selection:
            gathered[:, targets] = self._blocks[block][:, sources]  # type: ignore[call-overload]
        return gathered

    def frame(self) -> pd.DataFrame:
        """The table as pandas has it; costs hundreds of microseconds."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))

    def _pack(self) -> None:
        columns: Mapping[Key, Any] = self._columns or {}
        layout = Layout(tuple(columns), [kind_of(values) for values in columns.values()])
        blocks: list[Block] = []
        for kind, members in layout.groups:
            parts = [columns[key] for key in members]
            if kind == ANY:
                blocks.append(parts)
            elif kind in _LISTS:
                blocks.append(list(chain.from_iterable(zip(*parts, strict=True))))
            else:
                blocks.append(np.column_stack(parts))
        self._blocks = tuple(blocks)
        self._layout = layout  # last: other threads take it for the sign that blocks are there
