"""What a model answered, as named columns with one value for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serinus_server.batch.chunk import Column
from serinus_server.runtimes import base
from serinus_server.runtimes.base import Signature

PREDICTION = "prediction"


def output_names(signature: Signature) -> tuple[str, ...]:
    """The names that the signature gives to the columns of answers; none where it gives none."""
    names = tuple(spec.name for spec in signature.outputs if isinstance(spec, base.Column))
    return () if None in names else names  # type: ignore[return-value]


def columns_of(values: Any, rows: int, names: Sequence[str] = ()) -> list[Column] | None:
    """The answer ``values`` to ``rows`` rows as columns; None if it is not one answer for each row.

    A DataFrame and a dict have their own names. An array of one value per row is ``prediction``; of
    more values, they are called by ``names`` if these are as many, or else ``prediction_0``...; of
    more dimensions, each row's are a list in ``prediction``. Whatever answers a row alone, and is no
    array, is its one value.
    """
    columns = _columns(values, rows, names)
    if columns is None and rows == 1 and not isinstance(values, np.ndarray):
        return [Column(_name(names), [values])]
    return columns


def _columns(values: Any, rows: int, names: Sequence[str]) -> list[Column] | None:
    if hasattr(values, "to_frame") and hasattr(values, "iloc"):  # a pandas Series
        name = _name(names) if values.name is None else str(values.name)
        return [Column(name, _plain(values))] if len(values) == rows else None
    if hasattr(values, "iloc"):  # a pandas DataFrame
        if len(values) != rows:
            return None
        return [
            Column(str(name), _plain(values.iloc[:, index]))
            for index, name in enumerate(values.columns)
        ]
    if isinstance(values, Mapping):
        return _of_mapping(values, rows)
    if isinstance(values, np.ndarray):
        return _of_array(values, rows, names)
    if isinstance(values, (list, tuple)) and len(values) == rows:
        return [Column(_name(names), list(values))]
    return None


def _of_mapping(values: Mapping[Any, Any], rows: int) -> list[Column] | None:
    columns = []
    for name, value in values.items():
        sized = isinstance(value, (list, tuple, np.ndarray)) or hasattr(value, "iloc")
        if not sized or np.ndim(value) == 0 or len(value) != rows:
            return None
        flat = isinstance(value, np.ndarray) and value.ndim == 1
        columns.append(Column(str(name), _plain(value) if flat else _listed(value)))
    return columns or None


def _of_array(array: np.ndarray[Any, Any], rows: int, names: Sequence[str]) -> list[Column] | None:
    if array.ndim == 0:
        return [Column(_name(names), [array.item()])] if rows == 1 else None
    if len(array) != rows:
        return None
    if array.ndim == 1:
        return [Column(_name(names), _plain(array))]
    if array.ndim > 2:
        return [Column(_name(names), array.tolist())]
    width = array.shape[1]
    if width == 1:
        return [Column(_name(names), _plain(array[:, 0]))]
    if len(names) != width:
        names = [f"{PREDICTION}_{index}" for index in range(width)]
    return [Column(name, _plain(array[:, index])) for index, name in enumerate(names)]


def _plain(values: Any) -> Any:
    """Numbers and booleans as an array, all else as a list."""
    array = values if isinstance(values, np.ndarray) else values.to_numpy()
    if array.dtype.kind == "M":  # nanoseconds would become integers
        array = array.astype("datetime64[us]")
    if array.dtype.kind not in "biuf":
        return [
            None if value is not None and value != value else value for value in values.tolist()
        ]
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return array


def _listed(value: Any) -> list[Any]:
    listed: list[Any] = value.tolist() if hasattr(value, "tolist") else list(value)
    return listed


def _name(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else PREDICTION
