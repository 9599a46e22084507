"""Inputs reach the model exactly as MLflow's own function would hand them over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Column, Signature, Tensor
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.service.payload import Array, Columns, Records
from serinus_server.service.plan import plan_for

INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
DOUBLE = st.floats(-1e300, 1e300)
FLOAT = st.floats(-(2.0**99), 2.0**99, width=32)
TEXT = st.text(max_size=8)

RECORD = st.fixed_dictionaries(
    {
        "age": INT64,
        "children": INT32,
        "income": DOUBLE,
        "weight": FLOAT,
        "city": TEXT | st.sampled_from(["Oslo", "Bergen"]),
        "member": st.booleans(),
        "joined": st.datetimes(
            min_value=pd.Timestamp("1700-01-01").to_pydatetime(),
            max_value=pd.Timestamp("2200-01-01").to_pydatetime(),
        ).map(lambda moment: moment.isoformat()),
    },
    optional={"note": TEXT, "unknown": INT64},
)


def typed(records: list[dict[str, Any]]) -> pd.DataFrame:
    """The frame that a Python user would write for these records."""
    frame = pd.DataFrame(records)
    types = {"age": "int64", "children": "int32", "income": "float64", "weight": "float32"}
    return frame.astype(types).assign(joined=pd.to_datetime(frame["joined"], format="ISO8601"))


@settings(max_examples=60, deadline=None)
@given(records=st.lists(RECORD, min_size=1, max_size=6))
def test_answers_to_records_equal_mlflows_to_the_last_bit(
    table_model: Path, load: Callable[[Path], Any], records: list[dict[str, Any]]
) -> None:
    reference = load(table_model)
    runtime = PyFuncRuntime(reference)
    answer = runtime.predict(plan_for(runtime.signature).bind(Records(records)), None)
    assert answer.tobytes() == reference.predict(typed(records)).tobytes()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(DOUBLE, DOUBLE, DOUBLE | st.integers(-9, 9)), min_size=1, max_size=6)
)
def test_answers_to_arrays_equal_mlflows_to_the_last_bit(
    tensor_model: Path, load: Callable[[Path], Any], rows: list[tuple[float, float, float]]
) -> None:
    reference = load(tensor_model)
    runtime = PyFuncRuntime(reference)
    nested = [list(row) for row in rows]
    answer = runtime.predict(plan_for(runtime.signature).bind(Array(nested)), None)
    assert answer.tobytes() == reference.predict(np.array(rows, dtype=float)).tobytes()


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("double", [1, 2.5, None], np.array([1.0, 2.5, np.nan])),
        ("float", [1, 0.1], np.array([1, 0.1], dtype=np.float32)),
        ("long", [1, 3.0, 2**63 - 1], np.array([1, 3, 2**63 - 1])),
        ("integer", [-(2**31)], np.array([-(2**31)], dtype=np.int32)),
        ("boolean", [True, False], np.array([True, False])),
        ("long", np.array([1, 2], dtype=np.int8), np.array([1, 2], dtype=np.int64)),
        ("double", np.array([1, 2]), np.array([1.0, 2.0])),
    ],
)
def test_columns_take_exactly_the_dtype_of_the_signature(
    kind: str, values: Any, expected: np.ndarray[Any, Any]
) -> None:
    plan = plan_for(Signature((Column("x", kind),)))
    column = plan.bind(Columns({"x": values})).frame()["x"].to_numpy()
    assert column.dtype == expected.dtype
    np.testing.assert_array_equal(column, expected)


def test_binary_columns_are_base64() -> None:
    plan = plan_for(Signature((Column("x", "binary"),)))
    assert plan.bind(Columns({"x": ["AAE=", None]})).frame()["x"].tolist() == [b"\x00\x01", None]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("double", "1.5"),
        ("double", True),
        ("double", [1.0]),
        ("float", 1e39),
        ("long", 1.5),
        ("long", None),
        ("long", True),
        ("long", "1"),
        ("long", 1e19),
        ("long", -1e300),
        ("integer", 2**31),
        ("string", 1),
        ("string", {}),
        ("boolean", 1),
        ("boolean", "true"),
        ("binary", "not base64!"),
        ("datetime", "yesterday"),
        ("datetime", 5),
        ("datetime", "99999-01-01"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_field_and_row(kind: str, value: Any) -> None:
    good = {"string": "a", "boolean": True, "binary": "AA==", "datetime": "2026-01-01"}.get(kind, 1)
    plan = plan_for(Signature((Column("x", kind),)))
    with pytest.raises(InvalidInput) as caught:
        plan.bind(Records([{"x": good}, {"x": value}]))
    assert (caught.value.field, caught.value.row) == ("x", 1)


def test_a_missing_column_is_refused_with_its_row() -> None:
    plan = plan_for(Signature((Column("x", "double"), Column("y", "double"))))
    with pytest.raises(InvalidInput, match="'y', row 1: is missing"):
        plan.bind(Records([{"x": 1, "y": 1}, {"x": 1}]))
    with pytest.raises(InvalidInput, match="'y': is missing"):
        plan.bind(Columns({"x": [1]}))


def test_columns_beyond_the_signature_are_dropped_and_optional_ones_may_lack() -> None:
    plan = plan_for(Signature((Column("x", "long"), Column("y", "string", required=False))))
    assert list(plan.bind(Records([{"x": 1, "z": 2}])).columns) == ["x"]
    frame = plan.bind(Records([{"x": 1}, {"x": 2, "y": "b"}])).frame()
    assert frame["y"].isna().tolist() == [True, False]


def test_columns_of_different_lengths_are_refused() -> None:
    plan = plan_for(Signature((Column("x", "long"), Column("y", "long"))))
    with pytest.raises(InvalidInput, match=r"'y': has 2 rows where .* have 1"):
        plan.bind(Columns({"x": [1], "y": [1, 2]}))


@pytest.mark.parametrize("values", [[[1]], [[1, 2, 3]], [1, 2], np.zeros((2, 3)), np.zeros(2)])
def test_rows_by_position_need_exactly_the_signatures_columns(values: Any) -> None:
    plan = plan_for(Signature((Column("x", "double"), Column("y", "double"))))
    with pytest.raises(InvalidInput):
        plan.bind(Array(values))
    assert plan.bind(Array([[1, 2]])).frame()["y"].tolist() == [2.0]


TENSOR = Tensor(None, np.dtype("f4"), (-1, 2))


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], [3]],
        [[1, 2, 3]],
        [1, 2],
        [[1, "a"]],
        [[True, False]],
        [[1, {}]],
        [[1e39, 1]],
        [[1, [2]]],
        np.array([["a", "b"]], dtype=object),
    ],
)
def test_an_array_of_another_shape_or_kind_is_refused(values: Any) -> None:
    with pytest.raises(InvalidInput):
        plan_for(Signature((TENSOR,))).bind(Array(values))


def test_bytes_are_ascii_or_refused() -> None:
    plan = plan_for(Signature((Tensor(None, np.dtype("S"), (-1,)),)))
    assert plan.bind(Array(["a"])).tolist() == [b"a"]
    with pytest.raises(InvalidInput, match="other characters than ASCII"):
        plan.bind(Array(["é"]))


def test_an_unnamed_tensor_takes_arrays_records_and_columns() -> None:
    plan = plan_for(Signature((TENSOR,)))
    expected = np.array([[1, 2], [3, 4]], dtype=np.float32)
    for payload in (
        Array([[1, 2], [3, 4]]),
        Records([{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        Columns({"a": [1, 3], "b": [2, 4]}),
    ):
        bound = plan.bind(payload)
        assert bound.dtype == np.float32
        np.testing.assert_array_equal(bound, expected)


def test_named_tensors_are_bound_by_name() -> None:
    plan = plan_for(
        Signature((Tensor("a", np.dtype("f8"), (-1,)), Tensor("b", np.dtype("i8"), (-1, 2))))
    )
    bound = plan.bind(Columns({"b": [[1, 2]], "a": [0.5], "c": [1]}))
    assert {name: array.tolist() for name, array in bound.items()} == {"a": [0.5], "b": [[1, 2]]}
    with pytest.raises(InvalidInput, match="'b': is missing"):
        plan.bind(Columns({"a": [0.5]}))
    with pytest.raises(InvalidInput, match="by name"):
        plan.bind(Array([[1]]))


def test_without_a_signature_tables_stay_tables_and_arrays_stay_arrays() -> None:
    plan = plan_for(Signature())
    assert list(plan.bind(Records([{"a": 1, "b": "x"}])).columns) == ["a", "b"]
    np.testing.assert_array_equal(plan.bind(Array([[1, 2]])), np.array([[1, 2]]))
    with pytest.raises(InvalidInput):
        plan.bind(Columns({"a": [1], "b": [1, 2]}))
