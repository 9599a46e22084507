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
_SIZES = (2, 3, 5, 8, 17, 32, MANY)
_TRIED = 512  # most values of one column's hints that are tried

# The dtypes of MLflow's columns that are arrays.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "integer": np.dtype(np.int32), "long": np.dtype(np.int64), "float": np.dtype(np.float32),
    "double": np.dtype(np.float64), "boolean": np.dtype(np.bool_),
}  # fmt: skip
_ODD_FLOATS = (
    np.nan, 0.0, -0.0, np.inf, 1e308, -1e308, 3.4028235e38, 3.5e38, -1e39, 5e-324, -1e-310, 1e-40,
    16777217.0, 2.0**53 + 2, 1e16, 1e-9, -np.inf,
)  # fmt: skip
_ODD_STRINGS = (None, "", "no such category, é", " ", "nan", "None", "0")


@dataclass(frozen=True, slots=True)
class Question:
    """An input that a runtime takes, what is special about it, and how many rows it has."""

    about: str
    model_input: Any
    rows: int


@dataclass(frozen=True, slots=True)
class _Pool:
    """The values of one column: ``usual`` draws some, ``odd`` lists the strange ones."""

    usual: Callable[[int], list[Any]]
    odd: Sequence[Any]


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
        if not any(column.type in ("any", "binary", "datetime") for column in columns):
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
        odd = [limits.min, limits.max, 0, limits.max - 1, 1]
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
        return _Pool(floats, np.array(_ODD_FLOATS).astype(dtype).tolist())


def _strings(known: Sequence[Any], hints: Sequence[Any], random: np.random.Generator) -> _Pool:
    names = [value for value in (*hints, *known) if isinstance(value, str)] or ["a", "b"]
    odd = (*_ODD_STRINGS, names[0] + " ", names[-1].upper(), names[0][:1])
    return _Pool(lambda count: [names[i] for i in random.integers(0, len(names), count)], odd)


def _is_finite(value: Any) -> bool:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return number and abs(float(value)) < 1e300


def _mix(
    make: Callable[[str, int, tuple[int, Any] | None], Question], odd: Sequence[Sequence[Any]]
) -> Iterator[Question]:
    """Usual and odd questions in turn, so that whatever time there is sees all kinds.

    ``make`` makes a question of so many rows, with one column's value replaced in the last row.
    ``odd`` are every column's odd values; each is tried in some column, and each column in turn.
    """
    longest = max((len(values) for values in odd), default=0)
    replaced = [
        (column, values[(column + number) % len(values)])
        for number in range(longest)
        for column, values in enumerate(odd)
        if values
    ]
    strange = iter(replaced)
    for number in itertools.count():
        yield make("usual", 1, None)
        yield make("usual", _SIZES[number % len(_SIZES)], None)
        for rows in (1, 4):
            change = next(strange, None)
            if change is not None:
                yield make(f"column {change[0]} is {change[1]!r}", rows, change)
        yield make("usual", MANY, None)


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
            _strings(list(known.get(key, ())), self._hints(hints, key, index), random)
            if column.type == "string"
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
            (*pool.odd, None) if column.type == "boolean" else pool.odd
            for column, pool in zip(self._specs, self._pools, strict=True)
        ]
        mixed = _mix(self._make, odd)
        yield from itertools.islice(mixed, 10)
        for column, key in zip(self._specs, self._keys, strict=True):
            if not column.required:
                yield self._make(f"without {key!r}", 2, None, leave_out=key)
        yield from mixed

    def _make(
        self,
        about: str,
        rows: int,
        change: tuple[int, Any] | None,
        leave_out: str | int | None = None,
    ) -> Question:
        columns: dict[str | int, Any] = {}
        for index, (key, spec, pool) in enumerate(
            zip(self._keys, self._specs, self._pools, strict=True)
        ):
            values = pool.usual(rows)
            if change is not None and change[0] == index:
                values[-1] = change[1]
            if key != leave_out:
                plain = spec.type == "string" or None in values
                columns[key] = values if plain else np.array(values, dtype=DTYPES[spec.type])
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

    def _make(self, about: str, rows: int, change: tuple[int, Any] | None) -> Question:
        rows = self._fixed or rows
        array = np.empty((rows, self._width), dtype=self._dtype)
        for index, pool in enumerate(self._pools):
            array[:, index] = pool.usual(rows)
        if change is not None:
            array[-1, change[0]] = change[1]
        return Question(about, array, rows)

    def _unchecked(self) -> Iterator[Question]:
        """What an input plan without a signature lets pass."""
        usual: Array = self._make("", 3, None).model_input
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

    def array_of(tensor: Tensor, rows: int, odd: Any) -> Array:
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
        if odd is not None and array.size:
            array.reshape(-1)[-1] = odd
        return array

    def make(about: str, rows: int, change: tuple[int, Any] | None) -> Question:
        arrays = {
            tensor.name: array_of(
                tensor, rows, change[1] if change and change[0] == index else None
            )
            for index, tensor in enumerate(tensors)
        }
        model_input: Any = arrays.get(None, arrays)
        return Question(about, model_input, count_rows(model_input))

    if any(tensor.dtype.kind not in "iufb" for tensor in tensors):
        return
    odd = [_numbers(tensor.dtype, (), (), random).odd for tensor in tensors]
    yield from _mix(make, odd)
