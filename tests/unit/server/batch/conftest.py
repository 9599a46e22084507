"""Batch runs in this process, over models that tests write or MLflow has saved."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serinus_server.batch.formats import format_of
from serinus_server.batch.options import Options
from serinus_server.batch.progress import Quiet
from serinus_server.batch.run import Result, run
from serinus_server.runtimes.base import Column, Runtime, Signature
from serinus_server.service.model import Identity, ServedModel

NUMBER_AND_TEXT = Signature(inputs=(Column("x", "double"), Column("name", "string", False)))


class Batch:
    """One input, one output, in a folder of their own; runs are begun and resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.stdout = io.BytesIO()

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def options(self, input_: str, output: str = "out.csv", **changes: Any) -> Options:
        source, target = self.folder / input_, str(self.folder / output)
        options = Options(
            input=str(source),
            input_format=format_of(input_, "", "--input"),
            output=target,
            output_format=format_of(output, "", "--output"),
            errors=str(self.folder / "errors.jsonl"),
            chunk_rows=4,
        )
        return replace(options, **changes)

    def run(
        self,
        runtime: Runtime,
        options: Options,
        *,
        save_seconds: float = 0.0,
        digest: str = "sha256:1",
    ) -> Result:
        options.check()
        model = ServedModel(runtime, Identity("m", "", ""), lambda _: None)
        display = Recorder(self.said)
        return run(
            options, digest, lambda: model, display, save_seconds=save_seconds, stdout=self.stdout
        )

    def lines(self, name: str = "out.csv") -> list[str]:
        return (self.folder / name).read_text().splitlines()

    def bad(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines("errors.jsonl")]

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


class Recorder(Quiet):
    """Keeps what a run says."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def say(self, message: str) -> None:
        self._said.append(message)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    folder = tmp_path / "work"
    folder.mkdir()
    return Batch(folder)


@pytest.fixture
def doubling(scripted: Callable[..., Any]) -> Callable[..., Any]:
    """A model that doubles ``x``, and raises where ``x`` is negative."""

    def make(**attributes: Any) -> Any:
        def predict(table: Any) -> Any:
            x = table.columns["x"]
            if (x < 0).any():
                raise ValueError("negative input")
            return x * 2

        runtime = scripted(predict, NUMBER_AND_TEXT)
        for name, value in attributes.items():
            setattr(runtime, name, value)
        return runtime

    return make
