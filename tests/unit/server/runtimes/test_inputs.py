"""Libraries get matrices and arrays only of inputs that MLflow would give them unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serinus_server.runtimes.base import Column, Signature, Table, Tensor
from serinus_server.runtimes.fast import Doubt
from serinus_server.runtimes.inputs import Arrays, Numbers

_COLUMNS = Signature(inputs=(Column("a", "double"), Column("b", "long")))
_TENSOR = Signature(inputs=(Tensor(None, np.dtype(np.float32), (-1, 2)),))
_NAMED = Signature(
    inputs=(
        Tensor("a", np.dtype(np.float32), (-1, 2)),
        Tensor("b", np.dtype(np.int64), (-1,)),
    )
)
_OPEN = Signature()
_ROWS = np.array([[1.5, 2.0], [np.nan, -0.0]])


def _unaligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    data = b"x" + array.tobytes()
    return np.frombuffer(data, dtype=array.dtype, offset=1).reshape(array.shape)


def test_a_table_of_numbers_becomes_doubles_in_its_order() -> None:
    table = Table({"a": np.array([1.5, 2.5]), "b": np.array([3, 4])}, 2)
    matrix = Numbers(_COLUMNS, 2, ("a", "b")).of(table)
    assert matrix.dtype == np.float64
    assert matrix.tolist() == [[1.5, 3.0], [2.5, 4.0]]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [1.0]},
        {"b": np.array([1]), "a": np.array([1.0])},
        {"a": np.array([1.0]), "c": np.array([1])},
        {"a": ["text"], "b": np.array([1])},
        {"a": np.array([1.0]), "b": np.array([2**53 + 2])},
        {"a": np.array([1.0]), "b": np.array([-(2**63)])},
    ],
    ids=["missing", "order", "name", "text", "large", "smallest"],
)
def test_other_tables_are_left_to_the_reference(columns: dict[str | int, Any]) -> None:
    with pytest.raises(Doubt):
        Numbers(_COLUMNS, 2, ("a", "b")).of(Table(columns, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_a_signature_floats_are_taken_as_they_are(dtype: Any) -> None:
    rows = _ROWS.astype(dtype)
    matrix = Numbers(_OPEN, 2).of(rows)
    assert matrix is rows


@pytest.mark.parametrize(
    "given",
    [np.asfortranarray(_ROWS), np.repeat(_ROWS, 2, axis=0)[::2], _unaligned(_ROWS)],
    ids=["Fortran", "strides", "unaligned"],
)
def test_other_layouts_in_memory_become_the_usual_one(given: np.ndarray[Any, Any]) -> None:
    matrix = Numbers(_OPEN, 2).of(given)
    assert matrix.flags.c_contiguous
    assert matrix.flags.aligned
    assert matrix.tobytes() == _ROWS.tobytes()


@pytest.mark.parametrize(
    "given",
    [
        _ROWS.astype(">f8"), _ROWS.astype(np.float16), np.array([[1, 2]]), np.array([[True, False]]),
        _ROWS[0], _ROWS[:, :1], _ROWS.tolist(), None, {"a": _ROWS},
    ],
    ids=["bytes", "half", "integers", "booleans", "rank", "width", "list", "nothing", "names"],
)  # fmt: skip
def test_other_arrays_are_left_to_the_reference(given: Any) -> None:
    with pytest.raises(Doubt):
        Numbers(_OPEN, 2).of(given)


def test_arrays_are_those_of_the_signature() -> None:
    fitting = _ROWS.astype(np.float32)
    assert Arrays(_TENSOR).one(fitting) is fitting
    for other in (_ROWS, fitting[:, :1], fitting[0], {"a": fitting}):
        with pytest.raises(Doubt):
            Arrays(_TENSOR).one(other)
    for signature in (_COLUMNS, _NAMED):
        with pytest.raises(Doubt):
            Arrays(signature).one(fitting)


def test_named_arrays_are_those_of_the_signature() -> None:
    fitting = {"a": _ROWS.astype(np.float32), "b": np.array([1, 2])}
    assert Arrays(_NAMED).named(fitting) is fitting
    others: list[Any] = [
        {"a": fitting["a"]},
        {**fitting, "c": fitting["b"]},
        {**fitting, "a": _ROWS},
        {**fitting, "b": [1, 2]},
        fitting["a"],
    ]
    for other in others:
        with pytest.raises(Doubt):
            Arrays(_NAMED).named(other)
    for signature in (_COLUMNS, _TENSOR, _OPEN):
        with pytest.raises(Doubt):
            Arrays(signature).named(fitting)
