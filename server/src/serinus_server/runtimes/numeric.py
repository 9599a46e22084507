"""Inputs as a matrix of numbers, for libraries that take nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.fast import Doubt

_WHOLE = 2**53  # float64 has every integer up to here


def matrix_of(
    model_input: Any, width: int, names: tuple[str, ...] | None = None
) -> npt.NDArray[Any]:
    """A table, or an array of floats, as floats (rows, ``width``) in C order.

    Tables become float64, and arrays keep their float32 or float64. With ``names``, a table must
    have these columns in this order.

    Raises:
        Doubt: other columns, another shape or dtype, or integers that float64 cannot hold.
    """
    if type(model_input) is Table:
        layout = model_input.layout
        if len(layout.keys) != width or (names is not None and layout.keys != names):
            raise Doubt
        matrix = model_input.matrix(layout.keys)
        if matrix is None:
            raise Doubt
        for (kind, _), block in zip(layout.groups, model_input.blocks, strict=True):
            if kind in ("int64", "uint64") and (np.abs(np.asarray(block, float)) > _WHOLE).any():
                raise Doubt  # libraries that cast to float32 would round twice
        return matrix
    if (
        type(model_input) is np.ndarray
        and model_input.ndim == 2
        and model_input.shape[1] == width
        and model_input.dtype.char in "fd"
    ):
        return np.ascontiguousarray(model_input)
    raise Doubt
