"""From a model's input to the matrix of numbers that scikit-learn's validation would make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from serinus_server.runtimes.base import Column, Signature, Table, Tensor
from serinus_server.runtimes.fast import Doubt
from serinus_server.runtimes.questions import DTYPES

Matrix: TypeAlias = npt.NDArray[Any]

_ARRAYS = frozenset(map(np.dtype, (np.float64, np.float32, np.int64, np.int32)))
_SINGLE = np.dtype(np.float32)
_DOUBLE = np.dtype(np.float64)


def check(matrix: Matrix, nan_is_fine: bool) -> None:
    """Nothing, if all values are finite, or missing where that is fine.

    Raises:
        Doubt: scikit-learn may refuse a value.
    """
    flat = matrix.ravel(order="K")
    # The cheapest look at all values; it is infinite for large ones, too, which are looked at again.
    if math.isfinite(flat.dot(flat)):
        return
    if nan_is_fine:
        if np.isinf(matrix).any():
            raise Doubt
    elif not np.isfinite(matrix).all():
        raise Doubt


def as_floats(matrix: Matrix) -> Matrix:
    """``matrix`` as transformers take it: float32 stays, all else becomes float64."""
    return matrix if matrix.dtype in (_DOUBLE, _SINGLE) else matrix.astype(np.float64)


class Columns:
    """Takes columns out of a Table, side by side, in the dtype that all of them have in common.

    Where the model was fitted with Fortran's order or C's does not matter here: whoever computes
    with BLAS has to ask for an order.
    """

    def __init__(self, keys: Sequence[str | int], dtypes: Sequence[np.dtype[Any]]) -> None:
        self._keys = tuple(keys)
        self.dtype: np.dtype[Any] = np.result_type(*dtypes)

    def __call__(self, model_input: Table) -> Matrix:
        if self.dtype == _DOUBLE or self.dtype == _SINGLE:
            matrix = model_input.matrix(self._keys)
            if matrix is None:  # an optional column is missing, or has a null among booleans
                raise Doubt
            return matrix if self.dtype == _DOUBLE else matrix.astype(np.float32)
        # Not by way of float64, which rounds large integers before they are rounded to float32.
        values = [model_input.column(key) for key in self._keys]
        if not all(isinstance(column, np.ndarray) for column in values):
            raise Doubt
        return np.column_stack(values).astype(self.dtype, copy=False)


class Array:
    """Takes a two-dimensional array of ``width`` columns and one of ``dtypes`` as it is."""

    def __init__(self, width: int, dtypes: frozenset[np.dtype[Any]] = _ARRAYS) -> None:
        self._width = width
        self._dtypes = dtypes

    def __call__(self, model_input: Matrix) -> Matrix:
        if (
            type(model_input) is not np.ndarray
            or model_input.ndim != 2
            or model_input.shape[1] != self._width
            or model_input.dtype not in self._dtypes
        ):
            raise Doubt
        return model_input


Source: TypeAlias = Columns | Array


def whole_input(estimator: Any, signature: Signature) -> Source | None:
    """What makes the matrix for a model whose first step is ``estimator``.

    None where it takes something else than numbers, or other columns than the signature has.
    """
    width = int(estimator.n_features_in_)
    columns = [spec for spec in signature.inputs if isinstance(spec, Column)]
    if not columns:
        return array_input(signature, width)
    names = getattr(estimator, "feature_names_in_", None)
    keys = keys_of(columns)
    if len(keys) != width or any(column.type not in DTYPES for column in columns):
        return None
    if names is not None and isinstance(keys[0], str) and list(names) != keys:
        return None
    return Columns(keys, [DTYPES[column.type] for column in columns])


def array_input(signature: Signature, width: int) -> Array | None:
    """What takes the array, where the signature is one unnamed matrix, or none at all."""
    if not signature.inputs:
        return Array(width)
    spec = signature.inputs[0]
    if not isinstance(spec, Tensor) or spec.name is not None or spec.dtype not in _ARRAYS:
        return None
    return Array(width, frozenset([spec.dtype])) if spec.shape in ((-1, width), (-1, -1)) else None


def keys_of(columns: Sequence[Column]) -> list[str | int]:
    """The keys that a Table of the signature's ``columns`` has."""
    return [index if spec.name is None else spec.name for index, spec in enumerate(columns)]
