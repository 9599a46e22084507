"""The quick way to a table finds exactly what the careful way finds, or leaves it to that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Column, Table
from serinus_server.runtimes.table import ANY, Layout
from serinus_server.service.packing import GIVE_UP
from serinus_server.service.payload import Array, Columns, Payload, Records, Split
from serinus_server.service.table_plan import TablePlan

INT32, INT64 = 2**31, 2**63
REGULAR: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-INT64, 2 * INT64 - 1),
    "float": st.floats(-1e38, 1e38) | st.integers(-INT64, INT64),
    "long": st.integers(-INT64, INT64 - 1) | st.integers(-99, 99).map(float),
    "integer": st.integers(-INT32, INT32 - 1) | st.integers(-99, 99).map(float),
    "boolean": st.booleans(),
    "string": st.text(max_size=3),
    "binary": st.sampled_from(["", "AA==", "AAE="]),
    "datetime": st.sampled_from(["2026-01-02", "2026-01-02T03:04:05", "1999-12-31 23:59:59.123456789"]),
    "any": st.sampled_from([[], [1], "x", 5, {}]),
}  # fmt: skip
IRREGULAR = st.sampled_from(
    [
        None,
        True,
        0,
        1.5,
        1e300,
        INT32,
        INT64,
        "1",
        "2026-01-02T03:04:05Z",
        "1500-01-01",
        "é",
        [1],
        {},
    ]
)
LACKING = object()


@st.composite
def tables(draw: st.DrawFn, rows: int = 4) -> tuple[list[Column], list[list[Any]]]:
    """Columns of a signature, and rows of values; LACKING where an optional column has none."""
    kinds = draw(st.lists(st.sampled_from(list(REGULAR)), min_size=1, max_size=6))
    columns = [
        Column(f"c{number}", kind, required=draw(st.booleans()))
        for number, kind in enumerate(kinds)
    ]
    odd = draw(st.sampled_from([0, 0, 1, 2]))
    table = [[draw(REGULAR[kind]) for kind in kinds] for _ in range(draw(st.integers(1, rows)))]
    for _ in range(odd):
        row, column = (draw(st.integers(0, len(part) - 1)) for part in (table, kinds))
        table[row][column] = draw(IRREGULAR)
    for column in range(len(kinds)):
        lacking = draw(st.sampled_from(["none", "none", "none", "all", "first"]))
        for row in table if lacking == "all" else table[: lacking == "first"]:
            row[column] = LACKING
    return columns, table


def payloads(columns: Sequence[Column], table: Sequence[Sequence[Any]]) -> list[Payload]:
    """The table in every form that can hold it."""
    names = [str(column.name) for column in columns]
    records = [
        {name: value for name, value in zip(names, row, strict=True) if value is not LACKING}
        | {"more": 1}
        for row in table
    ]
    found: list[Payload] = [Records(records)]
    whole = [
        index for index in range(len(names)) if all(row[index] is not LACKING for row in table)
    ]
    if all(
        index in whole or all(r[index] is LACKING for r in table) for index in range(len(names))
    ):
        by_name = {names[index]: [row[index] for row in table] for index in whole}
        found.append(Columns({"more": [1], **by_name}))
        backwards = [names[index] for index in reversed(whole)]
        found.append(Split(backwards, [[row[i] for i in reversed(whole)] for row in table]))
    if len(whole) == len(names):
        found += [Split(names, table), Array(table)]
    return found


def outcome(plan: TablePlan, payload: Payload) -> Table | str:
    try:
        return plan.bind(payload)
    except InvalidInput as error:
        return str(error)


def careful(plan: TablePlan, payload: Payload) -> Table | str:
    try:
        return plan._convert(payload)
    except InvalidInput as error:
        return str(error)


def assert_same(found: Table | str, expected: Table | str) -> None:
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert found.rows == expected.rows
    assert found.layout == expected.layout or ANY in found.layout.kinds
    left, right = found.frame(), expected.frame()
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    for name in right.columns:
        assert list(map(type, left[name].tolist())) == list(map(type, right[name].tolist()))


@settings(max_examples=400, deadline=None)
@given(case=tables())
def test_the_quick_and_the_careful_way_lead_to_the_same_table_or_error(
    case: tuple[list[Column], list[list[Any]]],
) -> None:
    columns, table = case
    plan = TablePlan(columns)
    for payload in payloads(columns, table):
        assert_same(outcome(plan, payload), careful(plan, payload))


@settings(max_examples=200, deadline=None)
@given(case=tables(rows=6), data=st.data())
def test_joined_tables_are_the_table_of_all_rows_and_no_column_changes_its_dtype(
    case: tuple[list[Column], list[list[Any]]], data: st.DataObject
) -> None:
    columns, table = case
    plan = TablePlan(columns)
    cut = data.draw(st.integers(0, len(table)))
    (whole, *_), (first, *_), (second, *_) = (
        payloads(columns, rows) for rows in (table, table[:cut], table[cut:])
    )
    parts = [outcome(plan, first), outcome(plan, second)]
    if any(isinstance(part, str) or part.key is None or part.rows == 0 for part in parts):
        return
    tables = [part for part in parts if isinstance(part, Table)]
    if tables[0].key != tables[1].key:
        return
    joined = Table.concat(tables)
    assert_same(joined, outcome(plan, whole))
    for part in tables:
        assert part.frame().dtypes.to_dict() == joined.frame().dtypes.to_dict()


SIGNATURE = [
    Column("d", "double"),
    Column("l", "long"),
    Column("s", "string"),
    Column("b", "boolean"),
    Column("e", "double"),
    Column("o", "string", required=False),
]
ROW = {"d": 1, "l": 2.0, "s": "a", "b": True, "e": None}


@pytest.mark.parametrize("rows", [1, 3])
def test_regular_requests_take_the_quick_way(rows: int) -> None:
    plan = TablePlan(SIGNATURE)
    table = plan._pack(Records([ROW] * rows))
    values = list(ROW.values())
    for payload in (
        Split(list(ROW), [values] * rows),
        Split([*reversed(ROW)], [values[::-1]] * rows),
        Columns({name: [value] * rows for name, value in ROW.items()}),
    ):
        assert_same(plan._pack(payload), table)
    assert isinstance(table.columns["s"], list)
    assert [block.shape for block in table.blocks if isinstance(block, np.ndarray)] == [
        (rows, 2),
        (rows, 1),
        (rows, 1),
    ]


def test_arrays_of_the_right_dtypes_take_the_quick_way() -> None:
    plan = TablePlan(SIGNATURE[:3])
    flat = {"d": np.array([1.0, 2]), "l": np.array([1, 2]), "s": np.array(["a", "b"], object)}
    table = plan._pack(Columns(flat))
    assert_same(table, plan._pack(Columns({k: v.reshape(2, 1) for k, v in flat.items()})))
    assert table.frame().to_dict("list") == {"d": [1.0, 2.0], "l": [1, 2], "s": ["a", "b"]}
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
    doubles = TablePlan([Column("x", "double"), Column("y", "double")])
    assert_same(doubles._pack(Array(matrix)), doubles._convert(Array(matrix)))
    for wrong in (matrix.astype(np.float32), matrix[:, :1], matrix[0]):
        with pytest.raises(GIVE_UP):
            doubles._pack(Array(wrong))


def test_a_matrix_of_numeric_columns_is_in_the_order_asked_for() -> None:
    table = TablePlan(SIGNATURE).bind(Records([ROW, {**ROW, "d": 5, "l": 7}]))
    for keys, expected in [
        (("d",), [[1], [5]]),
        (("d", "l", "b"), [[1, 2, 1], [5, 7, 1]]),
        (("l", "d"), [[2, 1], [7, 5]]),
        (("b", "d", "l", "d"), [[1, 1, 2, 1], [1, 5, 7, 5]]),
    ]:
        found = table.matrix(keys)
        assert found is not None
        assert found.dtype == np.float64
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected)
    assert table.matrix(("d", "s")) is None
    assert table.matrix(("d", "nowhere")) is None


def test_a_matrix_of_all_of_a_block_is_not_copied() -> None:
    plan = TablePlan([Column("x", "double"), Column("y", "double")])
    table = plan.bind(Array([[1.0, 2.0]]))
    assert table.matrix(("x", "y")) is table.blocks[0]
    swapped = table.matrix(("y", "x"))
    assert swapped is not None
    assert swapped.tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"o": "x"}, {}),
        ({"o": "x"}, {"o": None}),
        ({"b": None}, {}),
    ],
)
def test_tables_of_other_columns_or_dtypes_have_other_keys(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    optional = [Column(c.name, c.type, required=c.name != "o") for c in SIGNATURE]
    plan = TablePlan(optional)
    left, right = (plan.bind(Records([{**ROW, **change}])) for change in (one, other))
    assert left.key != right.key
    assert left.key == plan.bind(Records([{**ROW, **one}] * 2)).key


def test_a_table_of_objects_joins_no_other() -> None:
    plan = TablePlan([Column("x", "any")])
    assert plan.bind(Records([{"x": [1]}])).key is None


def test_layouts_are_equal_by_columns_and_kinds() -> None:
    layout = Layout(["a", "b"], ["float64", "text"])
    assert layout == Layout(["a", "b"], ["float64", "text"])
    assert hash(layout) == hash(Layout(["a", "b"], ["float64", "text"]))
    assert layout != Layout(["b", "a"], ["float64", "text"])
    assert layout.kind("b") == "text"


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(
        st.none()
        | st.from_regex(
            r"(1676|1677|1700|2024|2199|2200|2262)-(0[0-2]|1[0-3])-(0[01]|2[89]|3[0-2])"
            r"([T ](0[05]|2[34]):(00|59|60)(:(00|59|60)(\.[0-9]{1,9})?)?)?",
            fullmatch=True,
        )
        | st.sampled_from(["", "2026-01-02T03:04:05Z", "2026-01", "\u0662026-01-02"]),
        min_size=1,
        max_size=2,
    )
)
def test_datetimes_are_what_pandas_makes_of_them(texts: list[str | None]) -> None:
    try:
        series = pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601")
        expected = series.dt.as_unit("ns")
    except (ValueError, OverflowError, AttributeError):
        expected = None
    plan = TablePlan([Column("x", "datetime")])
    found = outcome(plan, Columns({"x": texts}))
    assert isinstance(found, str) == (expected is None)
    if isinstance(found, Table):
        pd.testing.assert_series_equal(found.frame()["x"], expected, check_names=False)
