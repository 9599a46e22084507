"""Interrupted runs go on, and end with the same bytes as undisturbed ones."""

from __future__ import annotations

import fcntl
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from serinus_server.batch.errors import RunFailed, UsageError
from serinus_server.batch.formats import STREAM, Format
from serinus_server.batch.readers.base import ALL
from serinus_server.batch.run import Result
from serinus_server.runtimes.base import Column, Signature

ROWS = 37
INPUTS = ("in.csv", "in.csv.gz", "in.jsonl", "in.parquet")
OUTPUTS = ("out.csv.gz", "out.jsonl", "out.jsonl.zst", "out.parquet")


class PowerCut(BaseException):
    """What no handler of the run knows."""


def frame() -> pd.DataFrame:
    """Some rows of which every fifth makes the model raise."""
    return pd.DataFrame(
        {
            "x": [float(-i if i % 5 == 4 else i) for i in range(ROWS)],
            "name": [f"n\n{i}" for i in range(ROWS)],
        }
    )


def write_inputs(folder: Path) -> None:
    frame().to_csv(folder / "in.csv", index=False)
    frame().to_csv(folder / "in.csv.gz", index=False)
    frame().to_json(folder / "in.jsonl", orient="records", lines=True)
    frame().to_parquet(folder / "in.parquet", row_group_size=10)


def outputs(batch: Any) -> dict[str, bytes]:
    return {name: data for name, data in batch.files().items() if not name.startswith("in.")}


def interrupting(make: Callable[..., Any], after: int) -> Any:
    """The doubling model, whose power is cut in the call after so many."""
    runtime = make()
    inner, left = runtime.predict, iter(range(after))

    def predict(model_input: Any, params: Any) -> Any:
        if next(left, None) is None:
            raise PowerCut
        return inner(model_input, params)

    runtime.predict = predict
    return runtime


@pytest.mark.parametrize(
    ("input_", "output"),
    [*((input_, "out.csv") for input_ in INPUTS), *(("in.parquet", output) for output in OUTPUTS)],
)
def test_cut_off_in_any_call_and_resumed_gives_the_same_bytes(
    batch: Any, doubling: Callable[..., Any], input_: str, output: str
) -> None:
    write_inputs(batch.folder)
    options = batch.options(input_, output, keep=(ALL,))
    assert batch.run(doubling(), options) == Result(rows=ROWS, bad=7)
    expected = outputs(batch)
    for calls in (1, 5, 17):
        for name in expected:
            (batch.folder / name).unlink()
        cuts = 0
        while True:
            again = batch.options(input_, output, keep=(ALL,), resume=True)
            try:
                batch.run(interrupting(doubling, calls + cuts), again)
            except PowerCut:
                cuts += 1
            else:
                break
        assert cuts
        assert outputs(batch) == expected


@pytest.mark.parametrize("output", ["out.csv", "out.csv.gz", "out.parquet"])
def test_what_was_written_after_the_checkpoint_is_cut_off(
    batch: Any, doubling: Callable[..., Any], output: str
) -> None:
    write_inputs(batch.folder)
    batch.run(doubling(), batch.options("in.csv", output))
    expected = outputs(batch)
    for name in expected:
        (batch.folder / name).unlink()
    with pytest.raises(PowerCut):
        batch.run(interrupting(doubling, 12), batch.options("in.csv", output))
    for part in batch.folder.glob("*.part"):
        part.write_bytes(part.read_bytes() + b"torn")
    (batch.folder / f"{output}.checkpoint.new").write_bytes(b'{"version"')
    batch.run(doubling(), batch.options("in.csv", output, resume=True))
    assert outputs(batch) == expected


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_a_crash_between_the_last_steps_leaves_something_to_go_on_with(
    batch: Any, doubling: Callable[..., Any], output: str
) -> None:
    """Every set of files that the renames go through, one after the other."""
    write_inputs(batch.folder)
    done = batch.folder / output
    batch.run(doubling(), batch.options("in.csv", output))
    expected = outputs(batch)
    for name in expected:
        (batch.folder / name).unlink()
    # A folder in the place of the output stops the run at its last step.
    done.mkdir()
    with pytest.raises(RunFailed):
        batch.run(doubling(), batch.options("in.csv", output, force=True))
    done.rmdir()
    before = outputs(batch)
    assert f"{output}.checkpoint" in before
    assert "errors.jsonl" in before
    batch.run(doubling(), batch.options("in.csv", output, resume=True))
    assert outputs(batch) == expected
    # After the last rename only the checkpoint is left to be removed.
    (batch.folder / f"{output}.checkpoint").write_bytes(before[f"{output}.checkpoint"])
    result = batch.run(doubling(), batch.options("in.csv", output, resume=True))
    assert result == Result(rows=ROWS, bad=7)
    assert outputs(batch) == expected


def test_only_the_same_run_is_resumed(batch: Any, doubling: Callable[..., Any]) -> None:
    write_inputs(batch.folder)
    with pytest.raises(PowerCut):
        batch.run(interrupting(doubling, 9), batch.options("in.csv"))
    for changes, what in (
        ({"chunk_rows": 5}, "chunk size"),
        ({"keep": ("name",)}, "list of kept columns"),
        ({"features": ("x",)}, "list of features"),
        ({"params": {"a": 1}}, "set of params"),
        ({"skip_bad_rows": True}, "way with bad rows"),
        ({"errors": str(batch.folder / "other.jsonl")}, "file for errors"),
    ):
        with pytest.raises(UsageError, match=f"another {what}"):
            batch.run(doubling(), batch.options("in.csv", resume=True, **changes))
    with pytest.raises(UsageError, match="another model"):
        batch.run(doubling(), batch.options("in.csv", resume=True), digest="sha256:2")
    with pytest.raises(UsageError, match="another input"):
        batch.run(doubling(), batch.options("in.jsonl", resume=True))
    (batch.folder / "in.csv").write_text("x,name\n1,a\n")
    with pytest.raises(UsageError, match="another size of the input"):
        batch.run(doubling(), batch.options("in.csv", resume=True))


def test_a_model_is_asked_in_the_way_that_the_run_began_with(
    batch: Any, doubling: Callable[..., Any], scripted: Callable[..., Any]
) -> None:
    """Which runtime is fastest may change from run to run, and with it the last bits of answers."""
    write_inputs(batch.folder)
    signature = Signature(inputs=(Column("x", "double"),))
    together = scripted(lambda table: table.columns["x"] + table.rows, signature)
    expected = scripted(lambda table: table.columns["x"] + 1, signature)
    batch.run(expected, batch.options("in.csv"))
    alone = outputs(batch)
    (batch.folder / "out.csv").unlink()

    def parts(stacked: Any, _sizes: Any) -> Any:
        return stacked.columns["x"] + 1

    runtime = interrupting(lambda: together, 0)
    runtime.predict_parts = _cut_after(parts, 3)
    with pytest.raises(PowerCut):
        batch.run(runtime, batch.options("in.csv"))
    batch.run(
        scripted(lambda table: table.columns["x"] + table.rows, signature),
        batch.options("in.csv", resume=True),
    )
    assert outputs(batch) == alone


def _cut_after(ask: Callable[..., Any], calls: int) -> Callable[..., Any]:
    left = iter(range(calls))

    def predict_parts(stacked: Any, sizes: Any) -> Any:
        if next(left, None) is None:
            raise PowerCut
        return ask(stacked, sizes)

    return predict_parts


def test_nothing_is_overwritten_by_accident(batch: Any, doubling: Callable[..., Any]) -> None:
    write_inputs(batch.folder)
    with pytest.raises(PowerCut):
        batch.run(interrupting(doubling, 9), batch.options("in.csv"))
    with pytest.raises(UsageError, match="--resume goes on with it, --force begins again"):
        batch.run(doubling(), batch.options("in.csv"))
    batch.run(doubling(), batch.options("in.csv", force=True))
    for changes in ({}, {"resume": True}):
        with pytest.raises(UsageError, match="exists already: --force overwrites it"):
            batch.run(doubling(), batch.options("in.csv", **changes))
    with pytest.raises(UsageError, match="the input would be overwritten"):
        batch.run(doubling(), batch.options("in.csv", "in.csv", force=True))


def test_two_runs_do_not_write_one_output(batch: Any, doubling: Callable[..., Any]) -> None:
    write_inputs(batch.folder)
    with (batch.folder / "out.csv.part").open("wb") as other:
        fcntl.flock(other.fileno(), fcntl.LOCK_EX)
        with pytest.raises(RunFailed, match="another run is writing"):
            batch.run(doubling(), batch.options("in.csv", force=True))


def test_a_run_over_a_stream_leaves_nothing_when_it_is_cut_off(
    batch: Any, doubling: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(batch.folder)
    options = replace(
        batch.options("in.csv"),
        input=STREAM,
        input_format=Format("csv"),
        output_format=Format("csv"),
    )
    before = batch.files()
    with (batch.folder / "in.csv").open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        with pytest.raises(PowerCut):
            batch.run(interrupting(doubling, 12), options)
    assert batch.files() == before


def test_damage_is_told(batch: Any, doubling: Callable[..., Any]) -> None:
    write_inputs(batch.folder)
    with pytest.raises(PowerCut):
        batch.run(interrupting(doubling, 9), batch.options("in.csv"))
    saved = batch.folder / "out.csv.checkpoint"
    kept = batch.files()
    (batch.folder / "out.csv.part").write_bytes(b"")
    with pytest.raises(RunFailed, match="shorter than its checkpoint says"):
        batch.run(doubling(), batch.options("in.csv", resume=True))
    for text in (b"", b"[]", b"{}", kept["out.csv.checkpoint"][:40]):
        saved.write_bytes(text)
        with pytest.raises(RunFailed, match="is no checkpoint"):
            batch.run(doubling(), batch.options("in.csv", resume=True))


def test_an_older_file_of_bad_rows_does_not_outlive_its_output(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    batch.write("in.csv", "x\n1\n-1\n")
    batch.run(doubling(), batch.options("in.csv"))
    assert len(batch.bad()) == 1
    batch.write("in.csv", "x\n1\n1\n")
    batch.run(doubling(), batch.options("in.csv", force=True))
    assert sorted(batch.files()) == ["in.csv", "out.csv"]


def test_a_checkpoint_speaks_only_of_what_is_on_disk(
    batch: Any, doubling: Callable[..., Any]
) -> None:
    """A copy of the files at any moment is what a power cut may leave."""
    write_inputs(batch.folder)
    copies = []
    runtime = doubling()
    inner = runtime.predict

    def predict(model_input: Any, params: Any) -> Any:
        if (batch.folder / "out.csv.checkpoint").exists():
            copies.append(outputs(batch))
        return inner(model_input, params)

    runtime.predict = predict
    batch.run(runtime, batch.options("in.csv"))
    expected = outputs(batch)
    assert len(copies) > 10
    for copy in copies:
        done = json.loads(copy["out.csv.checkpoint"])["progress"]
        assert len(copy["out.csv.part"]) >= done["output"]
        assert len(copy["errors.jsonl.part"]) >= done["errors"]
        for name in outputs(batch):
            (batch.folder / name).unlink()
        for name, data in copy.items():
            (batch.folder / name).write_bytes(data)
        batch.run(doubling(), batch.options("in.csv", resume=True))
        assert outputs(batch) == expected
