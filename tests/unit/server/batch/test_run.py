"""Runs: rows stay in their order, bad ones are told, and outputs are what they promise."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serinus_server.batch.errors import RunFailed, UsageError
from serinus_server.batch.formats import STREAM, Format
from serinus_server.batch.readers.base import ALL
from serinus_server.batch.run import Result
from serinus_server.runtimes.base import Column, Signature, Tensor

CSV = "x,name,id\n" + "".join(f"{i}.5,n{i},0{i}\n" for i in range(10))


def test_rows_keep_their_order_and_number(batch: Any, doubling: Callable[..., Any]) -> None:
    batch.write("in.csv", CSV)
    assert batch.run(doubling(), batch.options("in.csv")) == Result(rows=10, bad=0)
    assert batch.lines() == ["prediction", *(str(2 * i + 1.0) for i in range(10))]
    assert sorted(batch.files()) == ["in.csv", "out.csv"]


def test_one_bad_row_costs_no_neighbour(batch: Any, doubling: Callable[..., Any]) -> None:
    rows = ["1,a", "-2,b", "three,c", "4,d", '5,"e', "6", "7,g"]
    batch.write("in.csv", "x,name\n" + "\n".join(rows) + "\n")
    assert batch.run(doubling(), batch.options("in.csv")) == Result(rows=7, bad=4)
    assert batch.lines() == ["prediction", "2.0", '""', '""', "8.0", '""', '""', "14.0"]
    reasons = [
        "the model raised ValueError: negative input",
        "input 'x': 'three' is no double, which the signature wants",
        "opens a quote that is never closed",
        "has 1 values, but the header names 2 columns",
    ]
    assert [(bad["row"], bad["line"], bad["input"]) for bad in batch.bad()] == [
        (row, row + 2, rows[row]) for row in (1, 2, 4, 5)
    ]
    assert [bad["reason"] for bad in batch.bad()] == reasons


def test_bad_rows_can_be_left_out(batch: Any, doubling: Callable[..., Any]) -> None:
    batch.write("in.csv", "x,name,id\n1,a,7\n-2,b,8\n3,c,9\n")
    batch.run(doubling(), batch.options("in.csv", skip_bad_rows=True, keep=("id",)))
    assert batch.lines() == ["id,prediction", "7,2.0", "9,6.0"]
    assert [bad["row"] for bad in batch.bad()] == [1]


def test_a_bad_row_is_found_by_halves(batch: Any, scripted: Callable[..., Any]) -> None:
    calls = []

    def predict(table: Any) -> Any:
        calls.append(table.rows)
        if (table.columns["x"] == 17).any():
            raise ValueError("unlucky")
        return table.columns["x"]

    batch.write("in.csv", "x\n" + "\n".join(map(str, range(64))) + "\n")
    runtime = scripted(predict, Signature(inputs=(Column("x", "double"),)))
    batch.run(runtime, batch.options("in.csv", chunk_rows=64))
    assert len(calls) == 13
    assert [bad["row"] for bad in batch.bad()] == [17]


def test_values_of_a_csv_are_kept_as_they_are(batch: Any, doubling: Callable[..., Any]) -> None:
    batch.write("in.csv", 'x,name,id\n1,"a,""b""",007\n2,,"7\n8"\n3,"",1.50\n')
    batch.run(doubling(), batch.options("in.csv", keep=(ALL,)))
    assert (batch.folder / "out.csv").read_text() == (
        'x,name,id,prediction\n1,"a,""b""",007,2.0\n2,,"7\n8",4.0\n3,"",1.50,6.0\n'
    )


def test_json_lines_go_in_and_out(batch: Any, doubling: Callable[..., Any]) -> None:
    records = ['{"x": 1, "name": "a", "more": [1, {"b": null}]}', '{"name": "b"}', "{", '{"x": 2}']
    batch.write("in.jsonl", "\n".join(records) + "\n")
    result = batch.run(doubling(), batch.options("in.jsonl", "out.jsonl", keep=(ALL,)))
    assert result == Result(rows=4, bad=2)
    assert [json.loads(line) for line in batch.lines("out.jsonl")] == [
        {"x": 1, "name": "a", "more": [1, {"b": None}], "prediction": 2.0},
        {"name": "b", "prediction": None},
        {"prediction": None},
        {"x": 2, "prediction": 4.0},
    ]
    assert [bad["reason"].split(":")[0] for bad in batch.bad()] == [
        "input 'x'",
        "the line is no valid JSON",
    ]


def test_records_become_columns_where_the_output_has_such(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    batch.write("in.jsonl", '{"x": 1, "name": "a", "tags": ["p"]}\n{"x": 2}\n')
    batch.run(doubling(), batch.options("in.jsonl", keep=(ALL,)))
    assert batch.lines() == ["x,name,tags,prediction", '1,a,"[""p""]",2.0', "2,,,4.0"]


def test_parquet_goes_in_and_out(batch: Any, doubling: Callable[..., Any]) -> None:
    frame = pd.DataFrame(
        {
            "x": [1.0, -1.0, 3.0, 4.0, 5.0],
            "name": ["a", None, "c", "d", "e"],
            "day": pd.to_datetime(["2026-01-01"] * 5),
        }
    )
    pq.write_table(
        pa.Table.from_pandas(frame, preserve_index=False), batch.folder / "in.parquet",
        row_group_size=3,
    )  # fmt: skip
    options = batch.options("in.parquet", "out.parquet", keep=("day", "name"), chunk_rows=2)
    assert batch.run(doubling(), options) == Result(rows=5, bad=1)
    found = pq.read_table(batch.folder / "out.parquet")
    assert found.column_names == ["day", "name", "prediction"]
    assert found["prediction"].to_pylist() == [2.0, None, 6.0, 8.0, 10.0]
    assert found["day"].to_pylist() == frame["day"].tolist()
    assert found["name"].to_pylist() == ["a", None, "c", "d", "e"]
    (bad,) = batch.bad()
    assert (bad["row"], bad["line"]) == (1, None)
    assert bad["input"]["x"] == -1.0


@pytest.mark.parametrize("name", ["out.csv.gz", "out.jsonl.gz", "out.csv.zst", "out.jsonl.zst"])
def test_text_can_be_compressed_on_both_sides(
    batch: Any, doubling: Callable[..., Any], name: str
) -> None:
    plain = name.rpartition(".")[0]
    batch.write("in.csv", CSV)
    batch.write("in.csv.gz", gzip.compress(CSV.encode()))
    batch.run(doubling(), batch.options("in.csv", plain))
    batch.run(doubling(), batch.options("in.csv.gz", name))
    packed = batch.folder / name
    if name.endswith(".gz"):
        text = gzip.decompress(packed.read_bytes())
    else:
        with pa.CompressedInputStream(str(packed), "zstd") as stream:
            text = stream.read()
    assert text == (batch.folder / plain).read_bytes()


def test_the_chunk_size_does_not_show_in_the_output(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    batch.write("in.csv", CSV)
    outputs = set()
    for rows in (1, 3, 10, 100):
        batch.run(doubling(), batch.options("in.csv", chunk_rows=rows, force=True))
        outputs.add((batch.folder / "out.csv").read_bytes())
    assert len(outputs) == 1


def test_a_missing_column_is_named_with_those_that_are_there(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    batch.write("in.csv", "id,y\n1,2\n")
    with pytest.raises(RunFailed, match="wants the column 'x', but the input has only 'id', 'y'"):
        batch.run(doubling(), batch.options("in.csv"))
    assert sorted(batch.files()) == ["in.csv"]


def test_an_empty_input_fails_and_a_header_alone_is_no_row(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    batch.write("in.csv", "")
    with pytest.raises(RunFailed, match="the input is empty"):
        batch.run(doubling(), batch.options("in.csv"))
    batch.write("in.csv", "x,name\n")
    assert batch.run(doubling(), batch.options("in.csv")) == Result(rows=0, bad=0)
    assert batch.lines() == ["prediction"]


def test_a_small_input_without_any_answer_has_only_nulls(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    batch.write("in.csv", "x\n-1\n-2\n")
    batch.write("two.csv", "x\n-1\n-2\n-1\n-1\n-1\n5\n")
    for name in ("out.csv", "out.parquet", "out.jsonl"):
        assert batch.run(doubling(), batch.options("in.csv", name)) == Result(rows=2, bad=2)
        (batch.folder / "errors.jsonl").unlink()
    assert batch.lines() == ["prediction", '""', '""']
    found = pq.read_table(batch.folder / "out.parquet")
    assert found["prediction"].to_pylist() == [None, None]
    batch.run(doubling(), batch.options("two.csv", "two-out.csv"))
    assert batch.lines("two-out.csv")[-1] == "10.0"


def test_a_run_without_any_answer_ends_early(batch: Any, scripted: Callable[..., Any]) -> None:
    calls = []

    def predict(table: Any) -> Any:
        calls.append(table.rows)
        raise ValueError("never")

    batch.write("in.csv", "x\n" + "1\n" * 100_000)
    runtime = scripted(predict, Signature(inputs=(Column("x", "double"),)))
    with pytest.raises(RunFailed, match=r"none of the first 1000 rows .*ValueError: never"):
        batch.run(runtime, batch.options("in.csv", chunk_rows=10_000))
    assert len(calls) < 2100


@pytest.mark.parametrize(
    ("answer", "header", "lines"),
    [
        (np.array([[1, 2], [3, 4]]), "prediction_0,prediction_1", ["1,2", "3,4"]),
        (np.array([[1.0], [2.0]], np.float32), "prediction", ["1.0", "2.0"]),
        (np.array([0.1, 0.2], np.float32), "prediction", ["0.10000000149011612", "0.20000000298023224"]),
        (np.array([np.nan, np.inf]), "prediction", ["NaN", "inf"]),
        (np.array(["a,b", ""], object), "prediction", ['"a,b"', '""']),
        (np.zeros((2, 1, 2)), "prediction", ['"[[0.0,0.0]]"'] * 2),
        (pd.Series([True, False], name="is it"), "is it", ["true", "false"]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), "a,b", ["1,x", "2,"]),
        ({"low": np.array([1, 2]), "high": [3, 4]}, "low,high", ["1,3", "2,4"]),
        ([{"a": 1}, None], "prediction", ['"{""a"":1}"', '""']),
        (["x", 1], "prediction", ["x", "1"]),
        (pd.Series(pd.to_datetime(["2026-01-02", None])), "prediction", ["2026-01-02T00:00:00", '""']),
    ],
)  # fmt: skip
def test_answers_of_every_shape_become_columns(
    batch: Any, scripted: Callable[..., Any], answer: Any, header: str, lines: list[str]
) -> None:
    batch.write("in.csv", "x\n1\n2\n")
    runtime = scripted(lambda _: answer, Signature(inputs=(Column("x", "double"),)))
    assert batch.run(runtime, batch.options("in.csv")).bad == 0
    assert batch.lines() == [header, *lines]


def test_the_signature_names_the_columns_of_a_matrix(
    batch: Any, scripted: Callable[..., Any]
) -> None:
    signature = Signature(
        inputs=(Column("x", "double"),), outputs=(Column("no", "double"), Column("yes", "double"))
    )
    batch.write("in.csv", "x\n1\n")
    batch.run(scripted(lambda _: np.array([[0.25, 0.75]]), signature), batch.options("in.csv"))
    assert batch.lines() == ["no,yes", "0.25,0.75"]


def test_models_whose_answers_are_not_one_per_row_are_asked_row_by_row(
    batch: Any, scripted: Callable[..., Any]
) -> None:
    batch.write("in.csv", CSV)
    runtime = scripted(
        lambda table: [float(table.columns["x"].sum())], Signature(inputs=(Column("x", "double"),))
    )
    batch.run(runtime, batch.options("in.csv"))
    assert batch.lines()[1:] == [f"{i}.5" for i in range(10)]


def test_a_model_with_exact_parts_is_asked_for_single_rows(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    sizes = []

    def parts(stacked: Any, of: Any) -> Any:
        sizes.append(list(of))
        return stacked.columns["x"] * 3

    batch.write("in.csv", CSV)
    batch.run(doubling(predict_parts=parts), batch.options("in.csv"))
    assert sizes == [[1] * 4, [1] * 4, [1] * 2]
    assert batch.lines()[1] == "1.5"


def test_a_matrix_takes_the_columns_in_their_order(
    batch: Any, scripted: Callable[..., Any]
) -> None:
    signature = Signature(inputs=(Tensor(None, np.dtype("f4"), (-1, 2)),))
    batch.write("in.csv", "a,b,id\n1,2,x\n3,4,y\n")
    seen = []

    def predict(array: Any) -> Any:
        seen.append(array)
        return array[:, 0] - array[:, 1]

    batch.run(scripted(predict, signature), batch.options("in.csv", features=("b", "a")))
    assert batch.lines() == ["prediction", "1.0", "1.0"]
    assert seen[0].dtype == np.float32


def test_a_model_without_signature_gets_numbers_where_all_are_such(
    batch: Any, scripted: Callable[..., Any]
) -> None:
    batch.write("in.csv", "a,b\n" + "1,x\n" * 5 + "2.5,7\n")
    frames = []

    def predict(frame: Any) -> Any:
        frames.append(frame)
        return frame["a"].to_numpy()

    batch.run(scripted(predict), batch.options("in.csv"))
    assert [str(frame.dtypes["a"]) for frame in frames] == ["float64"] * 2
    assert frames[1]["b"].tolist() == ["x", "7"]


def test_names_that_clash_are_refused(batch: Any, doubling: Callable[..., Any]) -> None:
    batch.write("in.csv", "x,prediction\n1,2\n")
    with pytest.raises(RunFailed, match="a column 'prediction' as the kept input does"):
        batch.run(doubling(), batch.options("in.csv", keep=(ALL,)))
    batch.write("twice.csv", "x,x\n1,2\n")
    with pytest.raises(RunFailed, match="two columns named 'x'"):
        batch.run(doubling(), batch.options("twice.csv"))


def test_answers_that_change_their_type_fail_a_parquet_and_no_text(
    batch: Any, scripted: Callable[..., Any]
) -> None:
    batch.write("in.csv", "x\n1\n2\n3\n4\n5\n")
    runtime = scripted(lambda frame: [1] if len(frame) == 1 else ["a"] * len(frame))
    with pytest.raises(RunFailed, match=r"'prediction' has values .* type string"):
        batch.run(runtime, batch.options("in.csv", "out.parquet"))
    batch.run(runtime, batch.options("in.csv", "out.csv", force=True))
    assert batch.lines() == ["prediction", "a", "a", "a", "a", "1"]


def test_a_stream_gets_the_rows_and_bad_ones_are_shown(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    batch.write("in.csv", "x\n1\n-1\n")
    options = replace(
        batch.options("in.csv"), output=STREAM, output_format=Format("jsonl"), errors=""
    )
    assert batch.run(doubling(), options) == Result(rows=2, bad=1)
    assert batch.stdout.getvalue() == b'{"prediction":2.0}\n{"prediction":null}\n'
    assert batch.said == ["row 1: the model raised ValueError: negative input"]


def test_params_are_those_of_the_model(batch: Any, doubling: Callable[..., Any]) -> None:
    batch.write("in.csv", CSV)
    with pytest.raises(UsageError, match="limit: is no parameter of this model; it has none"):
        batch.run(doubling(), batch.options("in.csv", params={"limit": 3}))
