"""Values of one input to the exact dtype that the signature names, or an error that names the row.

Conversions never change a value: integers become floats, 3.0 becomes 3, but 3.5 is no integer,
``"3"`` and ``true`` are no numbers, and what does not fit into the dtype is refused.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Column, Tensor, Values

Converter: TypeAlias = Callable[[Values], Any]

_NUMERIC: dict[str, np.dtype[Any]] = {
    "integer": np.dtype(np.int32),
    "long": np.dtype(np.int64),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}
_JSON_NAMES = {
    bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array",
    dict: "an object", type(None): "null",
}  # fmt: skip

# What JSON integers just below the smallest of 64 bits are read as: they must not become it.
BELOW_INT64 = float(np.iinfo(np.int64).min)

# Dates and times that NumPy reads as pandas does, 30 times as fast: without a time zone, and of
# years that datetime64[ns] holds to their ends (NumPy does not say when it cannot).
_PLAIN_DATETIME = re.compile(
    r"(?:1[7-9]|2[01])\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?", re.ASCII
).fullmatch


def converter_for(column: Column, label: str) -> Converter:
    """How to convert one column's values; ``label`` is the column's name in errors.

    Converters return something that a DataFrame takes as a column, and raise InvalidInput.
    """
    if column.type in _NUMERIC:
        dtype = _NUMERIC[column.type]
        numbers = _integers if dtype.kind == "i" else _floats
        return lambda values: numbers(values, dtype, label, column.type)
    if column.type == "boolean":
        return lambda values: _booleans(values, label)
    if column.type == "string":
        return lambda values: _of_types(values, {str, type(None)}, label, "string")
    if column.type == "binary":
        return lambda values: _binary(values, label)
    if column.type == "datetime":
        return lambda values: _datetimes(values, label)
    return list


def to_numbers(values: Sequence[Any], dtype: np.dtype[Any], label: str, want: str) -> Any:
    """A flat list of JSON values as an array of a numeric or boolean ``dtype``.

    Raises:
        InvalidInput: a value is of another kind or does not fit; says ``want``.
    """
    if dtype.kind == "b":
        return np.array(_of_types(values, {bool}, label, want), dtype=dtype)
    return (_floats if dtype.kind == "f" else _integers)(values, dtype, label, want)


def to_tensor(
    values: Values, tensor: Tensor, label: str | None, *, flattened: bool = False
) -> npt.NDArray[Any]:
    """``values`` as an array of the tensor's dtype and shape.

    ``flattened`` values are the cells of a table's column, which cannot hold more than one
    dimension: numbers or flat lists, which get the tensor's shape if they have as many values.

    Raises:
        InvalidInput: ragged, of another shape, or of values that the dtype cannot hold.
    """
    array = values if isinstance(values, np.ndarray) else _from_nested(values, tensor, label)
    shape = tensor.shape
    if flattened and array.ndim < 3 and shape[:1] == (-1,) and -1 not in shape[1:]:
        cells = (len(array), *shape[1:])
        if array.size == math.prod(cells):
            array = array.reshape(cells)
    if array.ndim != len(shape) or any(
        want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)
    ):
        wants = _wish(tensor)
        raise InvalidInput(f"has shape {_shape(array.shape)}, but {wants}", field=label)
    if array.dtype == tensor.dtype:
        return array
    if array.dtype.kind == tensor.dtype.kind == "f":
        with np.errstate(over="ignore"):
            cast = array.astype(tensor.dtype)
        if not np.isinf(cast).any():
            return cast
    return _cast(array, tensor.dtype, label, _wish(tensor))


def _wish(tensor: Tensor) -> str:
    return f"the signature wants {tensor.dtype} of shape {_shape(tensor.shape)}"


def describe(value: object) -> str:
    """What a JSON value is, in words that do not repeat the value."""
    return _JSON_NAMES.get(type(value), type(value).__name__)


def _shape(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _types(values: Sequence[Any]) -> set[type]:
    return set(map(type, values))


def _refuse_types(values: Sequence[Any], allowed: set[type], label: str, want: str) -> InvalidInput:
    row = next(row for row, value in enumerate(values) if type(value) not in allowed)
    got = describe(values[row])
    return InvalidInput(f"is {got}, but the signature wants {want}", field=label, row=row)


def _of_types(values: Values, allowed: set[type], label: str, want: str) -> Values:
    items = values.tolist() if isinstance(values, np.ndarray) else values
    if not _types(items) <= allowed:
        raise _refuse_types(items, allowed, label, want)
    return items


def _floats(
    values: Values, dtype: np.dtype[Any], label: str, want: str
) -> npt.NDArray[np.floating[Any]]:
    if isinstance(values, np.ndarray):
        return _cast(values, dtype, label, f"the signature wants {want}")
    allowed = {int, float, type(None)}  # null is a missing number, as in pandas
    if not _types(values) <= allowed:
        raise _refuse_types(values, allowed, label, want)
    with np.errstate(over="ignore"):
        array = np.array(values, dtype=dtype)
    if dtype.itemsize < 8:
        _refuse_overflow(np.isinf(array), label, want)
    return array


def _integers(values: Values, dtype: np.dtype[Any], label: str, want: str) -> npt.NDArray[Any]:
    if isinstance(values, np.ndarray):
        return _cast(values, dtype, label, f"the signature wants {want}")
    types = _types(values)
    if not types <= {int, float}:
        raise _refuse_types(values, {int, float}, label, want)
    if float in types:
        for row, value in enumerate(values):
            if not float(value).is_integer():
                raise InvalidInput(
                    f"has a fraction, but the signature wants {want}", field=label, row=row
                )
            if type(value) is float and value <= BELOW_INT64:
                raise InvalidInput(f"does not fit into {want}", field=label, row=row)
        values = [int(value) for value in values]
    try:
        return np.array(values, dtype=dtype)
    except OverflowError:
        limits = np.iinfo(dtype)
        row = next(row for row, value in enumerate(values) if not limits.min <= value <= limits.max)
        raise InvalidInput(f"does not fit into {want}", field=label, row=row) from None


def _booleans(values: Values, label: str) -> Any:
    items = _of_types(values, {bool, type(None)}, label, "boolean")
    return list(items) if None in items else np.array(items, dtype=bool)


def _binary(values: Values, label: str) -> list[bytes | None]:
    decoded: list[bytes | None] = []
    for row, value in enumerate(_of_types(values, {str, bytes, type(None)}, label, "binary")):
        try:
            decoded.append(base64.b64decode(value, validate=True) if type(value) is str else value)
        except (binascii.Error, ValueError):
            raise InvalidInput(
                "is no base64, but the signature wants binary", field=label, row=row
            ) from None
    return decoded


def _datetimes(values: Values, label: str) -> Any:
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return values
    items = _of_types(values, {str, type(None)}, label, "datetime (an ISO 8601 string)")
    if all(map(_PLAIN_DATETIME, filter(None, items))) and "" not in items:
        with contextlib.suppress(ValueError):  # no day of the calendar: pandas finds which
            return np.array(items, dtype="datetime64[ns]")
    import pandas as pd

    try:
        series = pd.to_datetime(pd.Series(items, dtype=object), format="ISO8601").dt.as_unit("ns")
        return series.to_numpy() if isinstance(series.dtype, np.dtype) else series
    except (ValueError, OverflowError, AttributeError):
        for row, value in enumerate(items):
            try:
                pd.Timestamp(value).as_unit("ns")
            except (ValueError, OverflowError):
                raise InvalidInput("is no ISO 8601 date and time", field=label, row=row) from None
    raise InvalidInput("mixes dates and times with and without time zones", field=label)


def _from_nested(values: Sequence[Any], tensor: Tensor, label: str | None) -> npt.NDArray[Any]:
    dtype = tensor.dtype
    try:
        if dtype.kind == "O":
            return _objects(values, tensor)
        array = np.array(values)
        if array.dtype == object and dtype.kind == "f" and _leaves_are_numbers(array):
            array = array.astype(dtype)  # null is a missing number, as in a table
        if dtype.kind in "iu" and array.dtype.kind == "f" and bool(np.all(array % 1 == 0)):
            _refuse_overflow(array <= BELOW_INT64, label, str(dtype))
            return np.array(values, dtype)  # integers beside floats lost digits in the first array
    except OverflowError:
        raise InvalidInput(f"does not fit into {dtype}", field=label) from None
    except (ValueError, TypeError):
        raise InvalidInput("is ragged: its rows differ in length", field=label) from None
    if array.size == 0:
        array = array.astype(dtype)
    return array


def _objects(values: Sequence[Any], tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.shape != (-1,):
        return np.array(values, dtype=object)
    array = np.empty(len(values), dtype=object)  # one object each, even if all are lists
    array[:] = values
    return array


def _leaves_are_numbers(array: npt.NDArray[Any]) -> bool:
    return _types(array.ravel().tolist()) <= {int, float, type(None)}


def _cast(
    array: npt.NDArray[Any], dtype: np.dtype[Any], label: str | None, wants: str
) -> npt.NDArray[Any]:
    """``array`` as ``dtype`` when no value changes its meaning."""
    kinds = {"f": "iuf", "i": "iu", "u": "iu", "b": "b", "U": "UO", "O": "OUSbiuf", "S": "SU"}
    allowed = kinds.get(dtype.kind, dtype.kind)
    exact = dtype.kind in "iu" and array.dtype.kind == "f" and bool(np.all(array % 1 == 0))
    if array.dtype.kind not in allowed and not exact:
        raise InvalidInput(f"has dtype {array.dtype}, but {wants}", field=label)
    if array.dtype == dtype:
        return array
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            cast = array.astype(dtype)
    except UnicodeEncodeError:
        raise InvalidInput(f"has other characters than ASCII, but {wants}", field=label) from None
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # The largest integer is no double, but the one after it is.
        above = array >= float(limits.max) + 1 if array.dtype.kind == "f" else array > limits.max
        _refuse_overflow((array < limits.min) | above, label, str(dtype))
    elif dtype.kind == "f" and array.dtype.kind == "f" and dtype.itemsize < array.dtype.itemsize:
        _refuse_overflow(np.isinf(cast) & np.isfinite(array), label, str(dtype))
    return cast


def _refuse_overflow(bad: npt.NDArray[np.bool_], label: str | None, want: str) -> None:
    if bad.any():
        row = int(np.argwhere(bad)[0][0]) if bad.ndim else None
        raise InvalidInput(f"does not fit into {want}", field=label, row=row)
