"""What the command refuses before it fetches a model, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from serinus_server.batch.cli import app
from serinus_server.batch.errors import UsageError
from serinus_server.batch.formats import Format, format_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "in.csv").write_text("x\n1\n")
    return tmp_path


def refused(**options: str | bool) -> str:
    given = {"model": "model", "input": "in.csv", "output": "out.csv", **options}
    arguments = [
        part
        for name, value in given.items()
        for part in ((f"--{name}",) if value is True else (f"--{name}", str(value)))
    ]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "nothing"}, "--model nothing: is no URI, and there is no such folder"),
        ({"model": "ftp://host/model"}, "--model must begin with models:/"),
        ({"digest": "md5:1"}, "--digest must be sha256:"),
        ({"input": "in.xlsx"}, "--input in.xlsx: unknown extension; known are .csv, .jsonl"),
        ({"input": "other.csv"}, "--input other.csv: there is no such file"),
        ({"output": "out.txt"}, "--output out.txt: unknown extension"),
        ({"output": "out.parquet.gz"}, "Parquet is compressed inside"),
        ({"output": "no/out.csv"}, "--output no/out.csv: there is no folder no"),
        ({"output": "in.csv", "force": True}, "the input would be overwritten"),
        ({"output": "out.csv", "errors": "in.csv", "force": True}, "would be overwritten"),
        ({"output": "-"}, "--output - needs --output-format: csv, jsonl, parquet"),
        ({"output": "-", "output-format": "parquet"}, "Parquet cannot be written to standard"),
        ({"input": "-", "input-format": "parquet"}, "Parquet cannot be read from standard input"),
        ({"input": "-", "input-format": "csv", "resume": True}, "--resume needs files"),
        ({"output": "-", "output-format": "csv", "errors": "e.jsonl"}, "--errors needs an output"),
        ({"input-format": "xml"}, "--input-format must be one of csv, jsonl, parquet, not 'xml'"),
        ({"params": "limit"}, "--params limit: write it as NAME=VALUE"),
        ({"columns": "x", "keep-inputs": True}, "--keep-inputs and --columns exclude each other"),
    ],
)
def test_wrong_usage_is_told_at_once(options: dict[str, str | bool], message: str) -> None:
    assert message in refused(**options)


def test_outputs_are_not_overwritten(folder: Path) -> None:
    (folder / "out.csv").touch()
    assert refused() == "out.csv exists already: --force overwrites it"


def test_bad_rows_go_beside_the_output(folder: Path) -> None:
    (folder / "out.errors.jsonl").touch()
    assert refused(output="out.csv.gz") == "out.errors.jsonl exists already: --force overwrites it"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", Format("csv")),
        ("A.CSV.GZ", Format("csv", "gzip")),
        ("a.b.ndjson.zst", Format("jsonl", "zstd")),
        ("a.pq", Format("parquet")),
    ],
)
def test_formats_are_known_by_their_names(name: str, form: Format) -> None:
    assert format_of(name, "", "--input") == form
