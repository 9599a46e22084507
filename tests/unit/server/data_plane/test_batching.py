"""What may go together, how it becomes one input, and who gets which part of the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from serinus_server.runtimes.base import Column, Signature, Table, Tensor
from serinus_server.service.batching import key_of, may_batch, merge, split

TENSOR = np.dtype("f8")


def table(**columns: Any) -> Table:
    return Table(columns, len(next(iter(columns.values()))))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros((1, 3)), np.zeros((1, 4))),
        (np.zeros((1, 3)), np.zeros((1, 3), np.float32)),
        (np.zeros(3), np.zeros((3, 1))),
        (np.zeros((1, 3)), {"x": np.zeros((1, 3))}),
        ({"x": np.zeros((1, 3))}, {"y": np.zeros((1, 3))}),
        ({"x": np.zeros((1, 3))}, {"x": np.zeros((1, 2))}),
        ({"x": np.zeros(1)}, {"x": np.zeros(1), "y": np.zeros(1)}),
        (table(a=np.zeros(2)), table(b=np.zeros(2))),
        (table(a=np.zeros(2)), table(a=np.zeros(2, np.int64))),
        (table(a=np.zeros(2)), table(a=["x", "y"])),
        (table(a=np.zeros(2)), table(a=np.zeros(2), b=np.zeros(2))),
        (table(a=np.zeros(2)), np.zeros((2, 1))),
    ],
)
def test_inputs_of_different_kinds_have_different_keys(first: Any, second: Any) -> None:
    assert key_of(first) is not None
    assert key_of(second) is not None
    assert key_of(first) != key_of(second)


@pytest.mark.parametrize(
    "model_input",
    [
        np.float64(3.0).reshape(()),
        [[1.0]],
        {"x": [1.0]},
        {"x": np.zeros(2), "y": np.zeros(3)},  # nobody knows what a row is here
        {},
        pd.DataFrame({"a": [1]}),
    ],
    ids=["scalar", "list", "lists", "unequal", "nothing", "frame"],
)
def test_inputs_whose_rows_are_not_known_go_alone(model_input: Any) -> None:
    assert key_of(model_input) is None


@pytest.mark.parametrize(
    "inputs",
    [
        [np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])],
        [
            {"x": np.array([1, 2]), "y": np.ones((2, 3))},
            {"x": np.array([3]), "y": np.zeros((1, 3))},
        ],
    ],
    ids=["array", "named"],
)
def test_merged_arrays_have_all_rows_in_order_and_their_dtype(inputs: list[Any]) -> None:
    assert key_of(inputs[0]) == key_of(inputs[1])
    merged = merge(inputs)
    rows = [2, 1] if isinstance(merged, dict) else [1, 2]
    for part, original in zip(split(merged, rows) or [], inputs, strict=True):
        for got, expected in zip(
            part.values() if isinstance(part, dict) else [part],
            original.values() if isinstance(original, dict) else [original],
            strict=True,
        ):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)


def test_merged_tables_are_the_frames_one_below_the_other() -> None:
    first = table(age=np.array([1, 2]), city=["Oslo", None])
    second = table(age=np.array([3]), city=["Bergen"])
    assert key_of(first) == key_of(second)
    merged = merge([first, second])
    assert merged.rows == 3
    expected = pd.concat([first.frame(), second.frame()], ignore_index=True)
    pd.testing.assert_frame_equal(merged.frame(), expected)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6).reshape(3, 2),
        [1, 2, 3],
        pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}, index=[7, 7, 7]),
        pd.Series([1.0, 2.0, 3.0], index=[5, 4, 3]),
    ],
    ids=["array", "list", "frame", "series"],
)
def test_everybody_gets_the_answers_to_his_rows(values: Any) -> None:
    first, second = split(values, [1, 2]) or []
    assert [len(first), len(second)] == [1, 2]
    plain = values.to_numpy().tolist() if hasattr(values, "to_numpy") else list(values)
    parts = [
        row
        for part in (first, second)
        for row in (part.to_numpy().tolist() if hasattr(part, "to_numpy") else list(part))
    ]
    np.testing.assert_array_equal(np.array(parts, object), np.array(plain, object))


def test_named_answers_are_divided_by_name() -> None:
    values = {"label": np.array([1, 2, 3]), "score": [[0.1], [0.2], [0.3]]}
    assert [{k: list(v) for k, v in part.items()} for part in split(values, [2, 1]) or []] == [
        {"label": [1, 2], "score": [[0.1], [0.2]]},
        {"label": [3], "score": [[0.3]]},
    ]


@pytest.mark.parametrize(
    "values",
    [
        np.array(4.0),
        np.zeros((2, 3)),
        [1, 2],
        pd.DataFrame({"a": [1]}),
        {"a": np.zeros(3), "b": np.zeros(1)},
        {},
        "abc",
        (1, 2, 3),
        None,
    ],
    ids=["scalar", "rows", "list", "frame", "named", "empty", "text", "tuple", "none"],
)
def test_answers_that_are_not_one_per_row_are_not_divided(values: Any) -> None:
    assert split(values, [1, 2]) is None


@pytest.mark.parametrize(
    ("inputs", "may"),
    [
        ((Tensor(None, TENSOR, (-1, 3)),), True),
        ((Tensor("x", TENSOR, (-1, 3)), Tensor("y", TENSOR, (-1,))), True),
        ((Tensor(None, TENSOR, (1, 3)),), False),
        ((Tensor(None, TENSOR, ()),), False),
        ((Column("a", "double"),), True),
        ((), True),
    ],
)
def test_a_signature_may_fix_the_number_of_rows(inputs: Any, may: bool) -> None:
    assert may_batch(Signature(inputs)) is may
