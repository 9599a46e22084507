"""A server of its own process, with a model that answers its columns: types go both ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serinus_server import contract

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

COLUMNS = {"whole": "long", "double": "double", "single": "float", "word": "string"}


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers the table that it is asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no type hints, which is the point

        class Echo(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
                return model_input

        Echo.__module__ = "__main__"  # pickled by value
        schema = Schema([ColSpec(type_, name) for name, type_ in COLUMNS.items()])
        params = ParamSchema([ParamSpec("limit", "long", 7), ParamSpec("mode", "string", "fast")])
        folder = tmp_path_factory.mktemp("models") / "echo"
        mlflow.pyfunc.save_model(
            folder,
            python_model=Echo(),
            signature=ModelSignature(schema, schema, params),
            pip_requirements=[],
        )
    return folder


@pytest.fixture(scope="module")
def start_for_module(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Path], tuple[int, int]]]:
    """Start a server with a model; returns its ports for HTTP and gRPC when it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def run(model: Path) -> tuple[int, int]:
        environ = {
            contract.ENV_HOST: "127.0.0.1",
            contract.ENV_PORT: "0",
            contract.ENV_GRPC_PORT: "0",
            contract.ENV_MODEL_NAME: "churn",
            contract.ENV_MODEL_URI: model.as_uri(),
            contract.ENV_LOG_FORMAT: "json",
            contract.ENV_ALLOW_CUSTOM_CODE: "true",
            contract.ENV_TERMINATION_LOG: str(tmp_path_factory.mktemp("server") / "log"),
        }
        log = tmp_path_factory.mktemp("server") / "stderr"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "serinus_server"],
                env={**os.environ, **environ},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        started.append(process)
        deadline = time.monotonic() + 60
        while True:
            entries = [json.loads(line) for line in log.read_text().splitlines()]
            ports = [entry["port"] for entry in entries if "port" in entry]
            if len(ports) == 2 and any(entry.get("new") == "ready" for entry in entries):
                return ports[0], ports[1]
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    yield run
    for process in started:
        process.kill()
        process.wait()
