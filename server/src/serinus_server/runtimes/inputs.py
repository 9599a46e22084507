"""Inputs in the forms that libraries take, where they are surely what MLflow would make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from serinus_server.runtimes.base import Column, Signature, Table, Tensor
from serinus_server.runtimes.fast import Doubt

_FLOATS = frozenset({np.dtype(np.float32), np.dtype(np.float64)})  # in this machine's byte order
_WHOLE = 2**53  # float64 has every integer up to here


class Arrays:
    """Knows the arrays that fit ``signature``; any array where the model has none."""

    def __init__(self, signature: Signature) -> None:
        tensors = [spec for spec in signature.inputs if isinstance(spec, Tensor)]
        self._open = not signature.inputs
        self._single = tensors[0] if len(tensors) == 1 and tensors[0].name is None else None
        self._named = {spec.name: spec for spec in tensors if spec.name is not None}

    def one(self, model_input: Any) -> npt.NDArray[Any]:
        """``model_input``, an array of the signature's dtype and shape.

        Raises:
            Doubt: it is anything else.
        """
        if type(model_input) is not np.ndarray:
            raise Doubt
        if not self._open and (self._single is None or not _fits(model_input, self._single)):
            raise Doubt
        return model_input

    def named(self, model_input: Any) -> dict[str, npt.NDArray[Any]]:
        """``model_input``, a dictionary of the signature's arrays.

        Raises:
            Doubt: it is anything else, or the model has no signature.
        """
        if type(model_input) is not dict or model_input.keys() != self._named.keys():
            raise Doubt
        for name, array in model_input.items():
            if type(array) is not np.ndarray or not _fits(array, self._named[name]):
                raise Doubt
        return model_input


def takes_tables(signature: Signature) -> bool:
    """Whether the model has a signature of columns."""
    return bool(signature.inputs) and isinstance(signature.inputs[0], Column)


def _fits(array: npt.NDArray[Any], tensor: Tensor) -> bool:
    shape = array.shape
    return (
        array.dtype == tensor.dtype
        and len(shape) == len(tensor.shape)
        and all(want in (-1, got) for want, got in zip(tensor.shape, shape, strict=True))
    )


class Numbers:
    """Makes matrices (rows, ``width``) of inputs that fit ``signature``, in C order.

    Tables become float64; arrays of float32 or float64 keep their dtype. With ``names``, a table
    must have these columns in this order.
    """

    def __init__(
        self, signature: Signature, width: int | None = None, names: tuple[str, ...] | None = None
    ) -> None:
        self._width = width
        self._names = names
        self._arrays = Arrays(signature)
        self._takes_tables = takes_tables(signature)

    def of(self, model_input: Any) -> npt.NDArray[Any]:
        """The matrix of ``model_input``, which may be its memory.

        Raises:
            Doubt: other columns, another shape or dtype, or integers that float64 cannot hold.
        """
        if type(model_input) is Table:
            if not self._takes_tables:
                raise Doubt
            return self._of_table(model_input)
        array = self._arrays.one(model_input)
        if (
            array.dtype not in _FLOATS
            or array.ndim != 2
            or self._width not in (None, array.shape[1])
        ):
            raise Doubt
        flags = array.flags
        if not (flags.c_contiguous and flags.aligned):  # binary bodies begin at any byte
            return np.array(array, order="C")
        return array

    def _of_table(self, table: Table) -> npt.NDArray[np.float64]:
        layout = table.layout
        if self._width not in (None, len(layout.keys)):
            raise Doubt
        if self._names is not None and layout.keys != self._names:
            raise Doubt
        matrix = table.matrix(layout.keys)
        if matrix is None:
            raise Doubt
        for (kind, _), block in zip(layout.groups, table.blocks, strict=True):
            if kind in ("int64", "uint64") and (np.abs(np.asarray(block, float)) > _WHOLE).any():
                raise Doubt  # libraries that cast to float32 would round twice
        return matrix
