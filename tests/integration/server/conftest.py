"""Real server processes on loopback, with small models trained once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from serinus_server import contract

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer


def _sleep_and_fail(rows: Any) -> Any:
    """Sleep as long as the first value says, and fail when it is negative."""
    import time

    first = float(rows[0][0])
    if first < 0:
        raise ValueError("negative input")
    time.sleep(min(first, 5.0))
    return rows


# By value, so that the server needs no module of the tests.
_sleep_and_fail.__module__ = "__main__"


def _save(folder: Path, model: Any, example: Any) -> Path:
    features = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model.fit(features, features[:, 1] * 2),
            folder,
            serialization_format="cloudpickle",
            signature=infer_signature(features, features[:, 1]),
            input_example=example,
            pip_requirements=["scikit-learn"],
        )
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Doubles the second value, after sleeping for as many seconds as the first one says."""
    pipeline = make_pipeline(FunctionTransformer(_sleep_and_fail), LinearRegression())
    return _save(tmp_path_factory.mktemp("m") / "model", pipeline, np.array([[0.0, 1.0]]))


class ServerProcess:
    """A server process of its own; reads the log so that the pipe never fills."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serinus_server", *arguments],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._listening = threading.Event()
        self._port = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            if '"listening"' in line:
                self._port = json.loads(line)["port"]
                self._listening.set()

    @property
    def url(self) -> str:
        assert self._listening.wait(30), self.log
        return f"http://127.0.0.1:{self._port}"

    def status(self, path: str) -> int:
        return int(httpx2.get(self.url + path).status_code)

    def until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while self.status(contract.PATH_READY) != 200:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        code = self.process.wait(60)
        self._reader.join(10)
        return code

    def reasons(self) -> list[str]:
        """The reasons that the log gives for the end of the process."""
        entries = [json.loads(line) for line in self.log]
        return [entry["reason"] for entry in entries if "reason" in entry]


Start = Callable[..., ServerProcess]


@pytest.fixture
def start(model: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a server: ``start(SERINUS_...="...")``."""
    started: list[ServerProcess] = []

    def run(*arguments: str, **environ: str) -> ServerProcess:
        process = ServerProcess(
            {
                contract.ENV_HOST: "127.0.0.1",
                contract.ENV_PORT: "0",
                contract.ENV_MODEL_NAME: "churn",
                contract.ENV_MODEL_URI: model.as_uri(),
                contract.ENV_WARMUP_REQUESTS: "1",
                contract.ENV_LOG_FORMAT: "json",
                contract.ENV_ALLOW_CUSTOM_CODE: "true",  # its model holds a function of ours
                contract.ENV_TERMINATION_LOG: str(tmp_path / "termination-log"),
                **environ,
            },
            *arguments,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.process.kill()
        process.wait()
        assert process.process.stdout is not None
        process.process.stdout.close()
        assert process.process.stderr is not None
        process.process.stderr.close()
