"""Inputs to try a fast runtime on: generated from the signature, the example and the structure.

They are chosen to find differences: values at, just below and just above those at which the model
may change its mind, missing and unknown values, extremes of every dtype, one row and many. They
are the same on every start.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from serinus_server.runtimes.base import Column, Signature, Table, Tensor
from serinus_server.runtimes.fast import Hints

Array: TypeAlias = npt.NDArray[Any]

MANY = 64  # rows of the largest question; as many as a batch may have by default
USUAL = "usual"  # what questions without odd values are about
_SIZES = (2, 3, 5, 8, 17, 32, MANY)
_TRIED = 512  # most values of one column's hints that are tried

# The dtypes of MLflow's columns that are arrays.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "integer": np.dtype(np.int32), "long": np.dtype(np.int64), "float": np.dtype(np.float32),
    "double": np.dtype(np.float64), "boolean": np.dtype(np.bool_),
}  # fmt: skip
# In groups of which a model takes all or none, as a rule.
_ODD_FLOATS = (
    (0.0, -0.0, 5e-324, -1e-310, 1e-40, 1e-9, 16777217.0, 2.0**53 + 2, 1e16),
    (np.nan,),
    (3.4028235e38, 3.5e38, -1e39, 1e308, -1e308),
    (np.inf, -np.inf),
)
_ODD_STRINGS = (("", "no such category, é", " ", "nan", "None", "0"), (None,))


@dataclass(frozen=True, slots=True)
class Question:
    """An input that a runtime takes, what is special about it, and how many rows it has."""

    about: str
    model_input: Any
    rows: int


@dataclass(frozen=True, slots=True)
class _Pool:
    """The values of one column: ``usual`` draws some, ``odd`` are groups of strange ones."""

    usual: Callable[[int], list[Any]]
    odd: Sequence[Sequence[Any]]


def questions(
    signature: Signature, example: Any = None, hints: Hints | None = None, seed: int = 0
) -> Iterator[Question]:
    """Questions to a model, the most telling mix of them first; none where nobody knows the form.

    ``example`` is an input as runtimes take it. It is asked, too, and its values are varied.
    """
    random = np.random.default_rng(seed)
    hints = hints or Hints()
    if example is not None:
        yield Question("the example", example, count_rows(example))
    columns = [spec for spec in signature.inputs if isinstance(spec, Column)]
    tensors = [spec for spec in signature.inputs if isinstance(spec, Tensor)]
    if columns:
        if not any(column.type == "any" for column in columns):
            yield from _Tables(columns, example, hints, random).questions()
    elif len(tensors) == 1 and tensors[0].name is None and len(tensors[0].shape) == 2:
        yield from _Matrices(tensors[0], example, hints, random).questions()
    elif tensors:
        yield from _tensors(tensors, example, random)
    elif not signature.checked_by_model:
        yield from _Matrices(None, example, hints, random).questions()


def count_rows(model_input: Any) -> int:
    """Rows of an input: those of a table, of an array, or of the first of named arrays."""
    if isinstance(model_input, Table):
        return model_input.rows
    if isinstance(model_input, Mapping):
        return count_rows(next(iter(model_input.values()))) if model_input else 0
    return len(model_input) if np.ndim(model_input) else 1


def cut(model_input: Any, start: int, stop: int) -> Any:
    """The rows from ``start`` to ``stop`` of an input that has rows."""
    if isinstance(model_input, Table):
        columns = {key: values[start:stop] for key, values in model_input.columns.items()}
        return Table(columns, stop - start)
    if isinstance(model_input, Mapping):
        return {name: values[start:stop] for name, values in model_input.items()}
    if hasattr(model_input, "iloc"):
        return model_input.iloc[start:stop]
    return model_input[start:stop]


def _numbers(
    dtype: np.dtype[Any], known: Sequence[Any], hints: Sequence[Any], random: np.random.Generator
) -> _Pool:
    """Values of a numeric dtype around those that are known and those that hints name."""
    if dtype.kind == "b":
        return _Pool(lambda n: random.integers(0, 2, n).astype(bool).tolist(), ())
    told = np.array([value for value in hints if _is_finite(value)][:_TRIED], dtype=np.float64)
    seen = np.array([value for value in known if _is_finite(value)], dtype=np.float64)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        near = np.clip(
            np.concatenate([told - 1, np.floor(told), told + 1, seen, [0, 1]]), -1e9, 1e9
        )
        near = near[(near >= limits.min) & (near <= limits.max)]
        odd = [(limits.min, limits.max, 0, limits.max - 1, 1)]
        scale = 1 + int(min(np.abs(near).max(), limits.max // 4))

        def integers(count: int) -> list[Any]:
            drawn = random.integers(-scale if limits.min else 0, scale + 1, count)
            return [
                *np.where(random.random(count) < 0.6, random.choice(near, count), drawn).tolist()
            ]

        return _Pool(integers, odd)
    steps: list[Array] = [told, seen]
    for narrow in (np.float32, np.float64):  # trees compare in float32 what came in float64
        with np.errstate(over="ignore"):
            at = told.astype(narrow)
        steps += [at, np.nextafter(at, narrow(-np.inf)), np.nextafter(at, narrow(np.inf))]
    near = np.concatenate([np.asarray(values, dtype=np.float64) for values in steps])
    near = near[np.isfinite(near)]
    near = near if near.size else np.array([0.0, 1.0])
    middle, spread = float(np.median(near)), float(np.ptp(near)) / 2
    if not 1e-6 * abs(middle) < spread < 1e300:  # all hints are one value
        spread = 1 + abs(middle)

    def floats(count: int) -> list[Any]:
        drawn = random.normal(middle, spread, count) * random.choice([1, 1, 1, 30], count)
        return [*np.where(random.random(count) < 0.5, random.choice(near, count), drawn).tolist()]

    with np.errstate(over="ignore"):
        return _Pool(floats, [np.array(group).astype(dtype).tolist() for group in _ODD_FLOATS])


def _texts(
    type_: str, known: Sequence[Any], hints: Sequence[Any], random: np.random.Generator
) -> _Pool:
    """Strings, bytes or dates."""
    if type_ == "datetime":
        return _Pool(lambda count: random.integers(0, 2**60, count).tolist(), ())
    if type_ == "binary":
        return _Pool(lambda count: [random.bytes(3) for _ in range(count)], ((None, b""),))
    names = [value for value in (*hints, *known) if isinstance(value, str)] or ["a", "b"]
    unknown, missing = _ODD_STRINGS
    odd = ((*unknown, names[0] + " ", names[-1].upper(), names[0][:1]), missing)
    return _Pool(lambda count: [names[i] for i in random.integers(0, len(names), count)], odd)


def _dtype(type_: str) -> np.dtype[Any]:
    return np.dtype("datetime64[ns]") if type_ == "datetime" else DTYPES[type_]


def _is_finite(value: Any) -> bool:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return number and abs(float(value)) < 1e300


Change: TypeAlias = "tuple[int, int, Any]"  # the row, the column, and the value there


def _mix(
    make: Callable[[str, int, Sequence[Change]], Question], odd: Sequence[Sequence[Sequence[Any]]]
) -> Iterator[Question]:
    """Usual and odd questions in turn, so that whatever time there is sees all kinds.

    ``make`` makes a question of so many rows, with some values replaced. ``odd`` are each column's
    groups of odd values. A whole group is tried at once, for models that take it, and single
    values, for those that do not: an error tells nothing about the other values beside it.
    """
    single = _singly(odd)
    groups = itertools.cycle(range(max((len(groups) for groups in odd), default=0)) or (0,))
    for number in itertools.count():
        yield make(USUAL, 1, ())
        yield make(USUAL, _SIZES[number % len(_SIZES)], ())
        group = next(groups)
        yield make(f"odd values of group {group}", MANY, _all_of(odd, group, number))
        for rows in (1, 4):
            for column, value in itertools.islice(single, 1):
                about = f"column {column} is {value!r}"
                yield make(about, rows, [(rows - 1, column, value)])
        yield make(USUAL, MANY, ())


def _singly(odd: Sequence[Sequence[Sequence[Any]]]) -> Iterator[tuple[int, Any]]:
    """Each column with an odd value, then each with another one, and so on."""
    flat = [list(itertools.chain.from_iterable(groups)) for groups in odd]
    for number in range(max(map(len, flat), default=0)):
        for column, values in enumerate(flat):
            if values:
                yield column, values[(column + number) % len(values)]


def _all_of(odd: Sequence[Sequence[Sequence[Any]]], group: int, turn: int) -> list[Change]:
    """One odd value of ``group`` in each of `MANY` rows, as many columns as there are in turn."""
    pairs = [
        (column, value)
        for column, groups in enumerate(odd)
        if group < len(groups)
        for value in groups[group]
    ]
    first = turn * MANY
    return [(row, *pairs[(first + row * 7) % len(pairs)]) for row in range(MANY) if pairs]


class _Tables:
    """Tables for a signature of columns that are numbers, booleans and strings."""

    def __init__(
        self,
        columns: Sequence[Column],
        example: Any,
        hints: Hints,
        random: np.random.Generator,
    ) -> None:
        self._specs = columns
        self._keys = [
            index if column.name is None else column.name for index, column in enumerate(columns)
        ]
        known = example.columns if isinstance(example, Table) else {}
        self._pools = [
            _texts(column.type, list(known.get(key, ())), self._hints(hints, key, index), random)
            if column.type not in DTYPES
            else _numbers(
                DTYPES[column.type],
                list(known.get(key, ())),
                self._hints(hints, key, index),
                random,
            )
            for index, (key, column) in enumerate(zip(self._keys, columns, strict=True))
        ]

    @staticmethod
    def _hints(hints: Hints, key: str | int, index: int) -> Sequence[Any]:
        return hints.values.get(key, hints.values.get(index, ()))

    def questions(self) -> Iterator[Question]:
        odd = [
            (*pool.odd, (None,)) if column.type == "boolean" else pool.odd
            for column, pool in zip(self._specs, self._pools, strict=True)
        ]
        mixed = _mix(self._make, odd)
        yield from itertools.islice(mixed, 10)
        for column, key in zip(self._specs, self._keys, strict=True):
            if not column.required:
                yield self._make(f"without {key!r}", 2, (), leave_out=key)
        yield from mixed

    def _make(
        self,
        about: str,
        rows: int,
        changes: Sequence[Change],
        leave_out: str | int | None = None,
    ) -> Question:
        columns: dict[str | int, Any] = {}
        for index, (key, spec, pool) in enumerate(
            zip(self._keys, self._specs, self._pools, strict=True)
        ):
            values = pool.usual(rows)
            for row, column, value in changes:
                if column == index:
                    values[row] = value
            if key != leave_out:
                plain = spec.type in ("string", "binary") or None in values
                columns[key] = values if plain else np.array(values, dtype=_dtype(spec.type))
        return Question(about, Table(columns, rows), rows)


class _Matrices:
    """Arrays (rows, columns) for one unnamed tensor, or for a model without a signature."""

    def __init__(
        self, tensor: Tensor | None, example: Any, hints: Hints, random: np.random.Generator
    ) -> None:
        self._open = tensor is None
        self._dtype = np.dtype(np.float64) if tensor is None else tensor.dtype
        known = example if isinstance(example, np.ndarray) and example.ndim == 2 else None
        width = tensor.shape[1] if tensor is not None else -1
        if width < 0:
            width = hints.width or (known.shape[1] if known is not None else 0)
        self._width = width
        self._fixed = tensor.shape[0] if tensor is not None and tensor.shape[0] > 0 else None
        usable = known is not None and known.dtype.kind in "iufb" and known.shape[1] == width
        self._pools = [
            _numbers(
                self._dtype,
                known[:, index].tolist() if usable and known is not None else [],
                hints.values.get(index, ()),
                random,
            )
            for index in range(width)
        ]

    def questions(self) -> Iterator[Question]:
        if not self._pools or self._dtype.kind not in "iufb":
            return
        mixed = _mix(self._make, [pool.odd for pool in self._pools])
        yield from itertools.islice(mixed, 10)
        if self._open:
            yield from self._unchecked()
        yield from mixed

    def _make(self, about: str, rows: int, changes: Sequence[Change]) -> Question:
        rows = self._fixed or rows
        array = np.empty((rows, self._width), dtype=self._dtype)
        for index, pool in enumerate(self._pools):
            array[:, index] = pool.usual(rows)
        for row, column, value in changes:
            array[min(row, rows - 1), column] = value
        return Question(about, array, rows)

    def _unchecked(self) -> Iterator[Question]:
        """What an input plan without a signature lets pass."""
        usual: Array = self._make("", 3, ()).model_input
        with np.errstate(over="ignore"):
            for dtype in (np.float32, np.int64, np.int32, np.bool_, np.object_, np.str_):
                yield Question(f"dtype {np.dtype(dtype)}", usual.astype(dtype), 3)
        missing = usual.astype(object)
        missing[1, 0] = None
        yield Question("with null", missing, 3)
        yield Question("one dimension", usual[0], self._width)
        yield Question("three dimensions", usual[:, :, None], 3)
        yield Question("one column too few", usual[:, 1:], 3)
        yield Question("one column too many", np.hstack([usual, usual[:, :1]]), 3)
        yield Question("in Fortran's order", np.asfortranarray(usual), 3)
        if self._width > 1:
            yield Question("columns are not contiguous", np.repeat(usual, 2, axis=1)[:, ::2], 3)


def _tensors(
    tensors: Sequence[Tensor], example: Any, random: np.random.Generator
) -> Iterator[Question]:
    """Arrays of any rank, alone or by name; dimensions of any length are as in the example."""

    def array_of(tensor: Tensor, rows: int, odd: Sequence[Any]) -> Array:
        known = example.get(tensor.name) if isinstance(example, Mapping) else example
        shape = list(tensor.shape)
        for axis, length in enumerate(shape):
            if axis == 0:
                shape[0] = rows if length < 0 else length
            elif length < 0 and isinstance(known, np.ndarray) and known.ndim == len(shape):
                shape[axis] = known.shape[axis]
            elif length < 0:
                shape[axis] = 3
        some = known.ravel().tolist() if isinstance(known, np.ndarray) else []
        values = _numbers(tensor.dtype, some, (), random).usual(int(np.prod(shape)))
        array = np.array(values, dtype=tensor.dtype).reshape(shape)
        flat = array.reshape(-1)
        for place, value in enumerate(odd):
            flat[-1 - place * 7 % max(1, flat.size)] = value
        return array

    def make(about: str, rows: int, changes: Sequence[Change]) -> Question:
        arrays = {
            tensor.name: array_of(
                tensor, rows, [value for _, place, value in changes if place == index]
            )
            for index, tensor in enumerate(tensors)
        }
        model_input: Any = arrays.get(None, arrays)
        return Question(about, model_input, count_rows(model_input))

    if any(tensor.dtype.kind not in "iufb" for tensor in tensors):
        return
    odd = [_numbers(tensor.dtype, (), (), random).odd for tensor in tensors]
    yield from _mix(make, odd)
