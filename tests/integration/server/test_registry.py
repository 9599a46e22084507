"""Models from a real MLflow: every kind of URI gives the same bytes, and the same digest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import mlflow
import numpy as np
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from serinus_server import contract
from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest
from serinus_server.errors import DownloadFailed


@dataclass(frozen=True, slots=True)
class Registry:
    """A running MLflow with one registered model."""

    tracking_uri: str
    uris: tuple[str, ...]


def _wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 90
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            if httpx2.get(f"{url}/health").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
         "--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        _wait_until_up(process, url)
        yield Registry(url, _register(url))
    finally:
        mlflow.set_tracking_uri(None)  # fetching sets it for the process
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _register(url: str) -> tuple[str, ...]:
    features = np.array([[0.0], [1.0], [2.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(url)
        try:
            mlflow.set_experiment("churn")
            with mlflow.start_run() as run:
                info = mlflow.sklearn.log_model(
                    LinearRegression().fit(features, features[:, 0] * 3),
                    name="model",
                    signature=infer_signature(features, features[:, 0]),
                    input_example=features[:1],
                    pip_requirements=["scikit-learn"],
                    registered_model_name="churn",
                )
            client = mlflow.MlflowClient()
            client.set_registered_model_alias("churn", "champion", "1")
        finally:
            mlflow.set_tracking_uri(None)
    return (
        "models:/churn/1",
        "models:/churn@champion",
        f"models:/{info.model_id}",
        f"runs:/{run.info.run_id}/model",
        info.artifact_path,
    )


def test_every_uri_of_a_model_has_the_same_digest(registry: Registry, tmp_path: Path) -> None:
    digests = {}
    for number, uri in enumerate(registry.uris):
        workspace = tmp_path / str(number)
        workspace.mkdir()
        folder = fetch(uri, workspace, tracking_uri=registry.tracking_uri)
        assert folder.is_relative_to(workspace)
        digests[uri] = digest(folder)
    assert len(set(digests.values())) == 1, digests


def test_a_version_that_is_not_registered_is_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="models:/churn/7 cannot be downloaded"):
        fetch("models:/churn/7", tmp_path, tracking_uri=registry.tracking_uri)


def test_a_registered_model_is_served(registry: Registry, start: Any) -> None:
    server = start(
        SERINUS_MODEL_URI="models:/churn/1",
        MLFLOW_TRACKING_URI=registry.tracking_uri,
    )
    server.until_ready()
    answer = httpx2.post(f"{server.url}/invocations", json={"inputs": [[5.0]]})
    assert answer.json()["predictions"] == pytest.approx([15.0])
    assert 'uri="models:/churn/1"' in httpx2.get(server.url + contract.PATH_METRICS).text
