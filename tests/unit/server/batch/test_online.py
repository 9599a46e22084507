"""A file's answers are, digit by digit, those that a server gives to the same rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest

from serinus_server.runtimes import mlflow_pyfunc
from serinus_server.runtimes.load import load as load_runtime

ROWS = 60


def table() -> pd.DataFrame:
    """Rows for the table model; every seventh lacks what the signature requires."""
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, ROWS),
            "children": rng.integers(0, 5, ROWS),
            "income": rng.normal(50_000, 9_000, ROWS),
            "weight": rng.normal(70, 9, ROWS),
            "city": rng.choice(["Bergen", "Oslo", "Tromsø", "Unknown, AB"], ROWS),
            "member": rng.random(ROWS) < 0.5,
            "joined": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 300, ROWS), "D"),
            "extra": "x",
        }
    )
    frame["age"] = frame["age"].astype(object)
    frame.loc[::7, "age"] = None
    return frame


def write(folder: Path, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The frame in every format; returns the records of the JSON lines."""
    frame.to_csv(folder / "in.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S")
    records = frame.to_dict("records")
    lines = [orjson.dumps(record, default=lambda stamp: stamp.isoformat()) for record in records]
    (folder / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    frame.convert_dtypes().to_parquet(folder / "in.parquet", row_group_size=25)
    return [json.loads(line) for line in lines]


async def test_answers_are_those_of_the_server_whatever_the_format(
    batch: Any, serve: Callable[..., Any], table_model: Path
) -> None:
    records = write(batch.folder, table())
    async with serve(table_model) as server:
        answers = [await server.client.post("/predict", json=record) for record in records]
    bad = [row for row, answer in enumerate(answers) if answer.status_code != 200]
    assert bad == list(range(0, ROWS, 7))
    online = [answer.json()["predictions"][0] if answer.is_success else None for answer in answers]
    runtime = load_runtime(table_model)
    for input_ in ("in.csv", "in.jsonl", "in.parquet"):
        for output in ("out.csv", "out.jsonl", "out.parquet"):
            options = batch.options(input_, output, force=True, chunk_rows=7)
            assert batch.run(runtime, options, save_seconds=60).rows == ROWS
            assert [line["row"] for line in batch.bad()] == bad
        texts = [line.strip('"') for line in batch.lines("out.csv")[1:]]
        assert [None if text == "" else float(text) for text in texts] == online
        assert [json.loads(line)["prediction"] for line in batch.lines("out.jsonl")] == online
        found = pq.read_table(batch.folder / "out.parquet")
        assert found["prediction"].to_pylist() == online


async def test_a_chunk_is_one_request_where_rows_cannot_be_asked_alone(
    batch: Any, serve: Callable[..., Any], table_model: Path
) -> None:
    records = write(batch.folder, table().dropna())
    online = []
    async with serve(table_model, SERINUS_FAST_PATHS="false") as server:
        for start in range(0, len(records), 7):
            answer = await server.client.post("/predict", json=records[start : start + 7])
            online += answer.json()["predictions"]
    runtime = load_runtime(table_model, fast_paths=False)
    assert batch.run(runtime, batch.options("in.csv", "out.jsonl", chunk_rows=7)).bad == 0
    assert [json.loads(line)["prediction"] for line in batch.lines("out.jsonl")] == online


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
async def test_a_matrix_in_a_file_has_the_answers_of_the_same_tensor(
    batch: Any, serve: Callable[..., Any], tensor_model: Path, name: str
) -> None:
    values = np.random.default_rng(5).normal(size=(20, 3))
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    frame.to_csv(batch.folder / "in.csv", index=False)
    frame.to_parquet(batch.folder / "in.parquet")
    (batch.folder / "in.jsonl").write_bytes(b"\n".join(map(orjson.dumps, values.tolist())))
    async with serve(tensor_model) as server:
        answers = await asyncio.gather(
            *(
                server.client.post("/invocations", json={"instances": [row]})
                for row in values.tolist()
            )
        )
    batch.run(load_runtime(tensor_model), batch.options(name))
    online = [orjson.loads(answer.content)["predictions"][0] for answer in answers]
    assert batch.lines()[0] == "prediction_0,prediction_1"
    assert [list(map(float, line.split(","))) for line in batch.lines()[1:]] == online


def test_a_model_that_takes_params_gets_them(batch: Any, tensor_model: Path) -> None:
    batch.write("in.csv", "a,b,c\n1,2,3\n")
    runtime = load_runtime(tensor_model)
    assert batch.run(runtime, batch.options("in.csv", params={"limit": 3})).bad == 0
    batch.run(runtime, batch.options("in.csv", params={"limit": "many"}, force=True))
    assert "limit" in batch.bad()[0]["reason"]


def test_a_python_model_with_type_hints_gets_records(batch: Any, hinted_model: Path) -> None:
    batch.write("in.csv", "a,b\n1,2\n3,4\nfive,6\n")
    batch.write("in.jsonl", '{"a": 1.0, "b": 2.0}\n{"a": 3.0}\n{"a": "x"}\n')
    runtime = mlflow_pyfunc.load(hinted_model)
    batch.run(runtime, batch.options("in.csv", "csv.jsonl", chunk_rows=2))
    assert [json.loads(line)["prediction"] for line in batch.lines("csv.jsonl")] == [3, 7, None]
    batch.run(runtime, batch.options("in.jsonl", "jsonl.jsonl", chunk_rows=2, force=True))
    assert [json.loads(line)["prediction"] for line in batch.lines("jsonl.jsonl")] == [3, 3, None]
    assert batch.bad()[0]["row"] == 2
