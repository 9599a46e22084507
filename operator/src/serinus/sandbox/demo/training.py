"""Trains and registers the demo's models in a process of its own.

Training needs a second of pure computation and MLflow's imports some more; in a process of its own
they run while the sandbox starts, and delay no request later. The two talk in lines of JSON: the
child says what it trained and registered, the parent says where the registry is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from serinus.sandbox.processes import kill_group, tied

if TYPE_CHECKING:
    from serinus.sandbox.demo.models import DataSet, TrainedModel

ROWS_FILE = "live-rows.json"
LOG_FILE = "training.log"
SLOW_ROWS_AT_ONCE = 8  # version 3 mostly waits on them


class TrainingError(Exception):
    """The training process failed; the message names its log."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What the author of one version reports about it."""

    version: int
    description: str
    accuracy: float  # on the held-out rows that were scored, 0..1
    scored: int
    held_out: int


@dataclass(frozen=True, slots=True)
class LiveRows:
    """The rows that arrive as requests, and what each version is known to answer.

    ``answers`` has one entry per row for each version; None where the version raises.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    answers: Mapping[str, tuple[int | None, ...]]

    @classmethod
    def read(cls, path: Path) -> LiveRows:
        """Read what the training process wrote."""
        content = json.loads(path.read_text())
        return cls(
            tuple(content["columns"]),
            tuple(tuple(row) for row in content["rows"]),
            {version: tuple(answers) for version, answers in content["answers"].items()},
        )


class Training:
    """The training process as its parent sees it. Use as an async context manager."""

    def __init__(self, folder: Path, model_name: str) -> None:
        self._folder = folder
        self._name = model_name
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log_file(self) -> Path:
        return self._folder / LOG_FILE

    async def __aenter__(self) -> Self:
        command = tied([sys.executable, "-m", __name__, str(self._folder), self._name])
        with self.log_file.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=_environment(self._folder),
                cwd=self._folder,
                start_new_session=True,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            kill_group(self._process.pid)
            await self._process.wait()

    async def trained(self) -> tuple[tuple[Trained, ...], LiveRows]:
        """Wait until every version is trained. Raises TrainingError."""
        line = await self._line()
        reports = tuple(Trained(**report) for report in line["trained"])
        return reports, await asyncio.to_thread(LiveRows.read, self._folder / ROWS_FILE)

    async def register(self, tracking_uri: str) -> AsyncIterator[str]:
        """Have the versions registered; yields each one's URI. Raises TrainingError."""
        process = self._running()
        if process.stdin is None:
            raise RuntimeError("the training process was started without a pipe")
        process.stdin.write(json.dumps({"tracking_uri": tracking_uri}).encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # it died: the next read says so
            await process.stdin.drain()
        while (line := await self._line()) != {"done": True}:
            yield line["registered"]

    async def _line(self) -> dict[str, Any]:
        process = self._running()
        if process.stdout is None:
            raise RuntimeError("the training process was started without a pipe")
        text = await process.stdout.readline()
        if not text:
            status = await process.wait()
            raise TrainingError(f"training ended with status {status}; its log: {self.log_file}")
        line: dict[str, Any] = json.loads(text)
        return line

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("Training is used outside of its async context")
        return self._process


def _environment(folder: Path) -> dict[str, str]:
    """Nothing that could send the demo to somebody's real registry, or leave files elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return kept | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "TMPDIR": str(folder),
    }


def main(folder: Path, model_name: str, orders: TextIO, events: TextIO) -> None:
    """The child: train, write the rows, wait for the registry's address, register."""
    from serinus.sandbox.demo import models

    def say(event: Mapping[str, Any]) -> None:
        print(json.dumps(event), file=events, flush=True)

    data = models.load_data()
    trained = list(models.train_all(data))
    _write_rows(folder / ROWS_FILE, data, trained)
    reports = [Trained(m.version, m.description, m.accuracy, m.scored, m.held_out) for m in trained]
    say({"trained": [asdict(report) for report in reports]})
    _warm_up(trained[0], data)
    order = orders.readline()
    if not order:
        return  # the parent has gone
    for uri in _register_all(json.loads(order)["tracking_uri"], model_name, trained, data):
        say({"registered": uri})
    say({"done": True})


def _write_rows(path: Path, data: DataSet, trained: list[TrainedModel]) -> None:
    from serinus.sandbox.demo.models import behaviour

    answers = {}
    for model in trained:
        seen = behaviour(model.pipeline, data.live, at_once=SLOW_ROWS_AT_ONCE)
        answers[str(model.version)] = [one.prediction for one in seen]
    content = {
        "columns": list(data.live.x),
        "rows": data.live.x.to_numpy().tolist(),
        "answers": answers,
    }
    path.write_text(json.dumps(content))


def _warm_up(model: TrainedModel, data: DataSet) -> None:
    """Import what saving a model needs while the registry still starts."""
    import mlflow.sklearn

    with tempfile.TemporaryDirectory() as folder:
        mlflow.sklearn.save_model(model.pipeline, f"{folder}/model", **_logged_with(data))


def _register_all(
    tracking_uri: str, name: str, trained: list[TrainedModel], data: DataSet
) -> Iterator[str]:
    import mlflow.sklearn

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(name)
    for model in trained:
        with mlflow.start_run(run_name=f"version {model.version}: {model.description}"):
            mlflow.log_metrics({"accuracy": model.accuracy, "rows_scored": model.scored})
            logged = mlflow.sklearn.log_model(
                model.pipeline,
                name="model",
                registered_model_name=name,
                **_logged_with(data),
            )
        yield f"models:/{name}/{logged.registered_model_version}"


def _logged_with(data: DataSet) -> dict[str, Any]:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    from serinus.sandbox.demo.models import TRUSTED_TYPES, typical_row

    inputs = Schema([ColSpec(DataType.double, column) for column in data.train.x])
    pinned = [f"{name}=={metadata.version(name)}" for name in ("scikit-learn", "skops")]
    return {
        "signature": ModelSignature(inputs, Schema([ColSpec(DataType.long)])),
        "input_example": typical_row(data.train),
        "pip_requirements": pinned,
        "skops_trusted_types": list(TRUSTED_TYPES),
    }


if __name__ == "__main__":
    # What libraries print goes to the log; the pipe is for events only.
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)
        main(Path(sys.argv[1]), sys.argv[2], sys.stdin, pipe)
