"""How inputs become one, and how the answer is divided again: the arithmetic of micro-batches.

Only inputs of the same kind go together: the same columns, dtypes and lengths of every axis but the
first, which counts rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from serinus_server.runtimes.base import Signature, Table, Tensor


def may_batch(signature: Signature) -> bool:
    """Whether the signature lets the number of rows vary; a tensor may have it fixed."""
    return all(
        not isinstance(spec, Tensor) or (len(spec.shape) > 0 and spec.shape[0] == -1)
        for spec in signature.inputs
    )


def key_of(model_input: Any) -> Hashable | None:
    """Inputs with equal keys may be merged; None: this one goes alone."""
    if isinstance(model_input, np.ndarray):
        return (model_input.dtype, model_input.shape[1:]) if model_input.ndim else None
    if isinstance(model_input, Table):
        return model_input.key
    if type(model_input) is dict:
        return _key_of_arrays(model_input)
    return None


def merge(inputs: Sequence[Any]) -> Any:
    """One input with the rows of all ``inputs``, in their order; their keys are equal."""
    first = inputs[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(inputs)
    if isinstance(first, Table):
        return Table.concat(inputs)
    return {name: np.concatenate([arrays[name] for arrays in inputs]) for name in first}


def split(values: Any, counts: Sequence[int]) -> list[Any] | None:
    """An answer's parts of ``counts`` rows each; None if it is not made of that many rows."""
    rows = sum(counts)
    if isinstance(values, dict):
        return _split_mapping(values, counts)
    if isinstance(values, (np.ndarray, list)):
        if isinstance(values, np.ndarray) and values.ndim == 0:
            return None
        return _slices(values, counts) if len(values) == rows else None
    if hasattr(values, "iloc"):  # a pandas DataFrame or Series
        return _slices(values.iloc, counts) if len(values) == rows else None
    return None


def _key_of_arrays(arrays: Mapping[str, Any]) -> Hashable | None:
    """Named arrays go together only if all have the same number of rows."""
    parts = []
    rows = None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            return None
        if rows is None:
            rows = len(array)
        elif len(array) != rows:
            return None
        parts.append((name, array.dtype, array.shape[1:]))
    return tuple(parts) if parts else None


def _split_mapping(values: dict[Any, Any], counts: Sequence[int]) -> list[Any] | None:
    parts: list[dict[Any, Any]] = [{} for _ in counts]
    for name, value in values.items():
        pieces = split(value, counts)
        if pieces is None:
            return None
        for part, piece in zip(parts, pieces, strict=True):
            part[name] = piece
    return parts if values else None


def _slices(values: Any, counts: Sequence[int]) -> list[Any]:
    parts = []
    start = 0
    for count in counts:
        parts.append(values[start : start + count])
        start += count
    return parts
