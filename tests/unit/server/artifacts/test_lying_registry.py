"""An MLflow server that lies about its files fills no disk and names no folder of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.limits import Limits
from serinus_server.contract import ENV_MAX_MODEL_BYTES
from serinus_server.errors import DownloadFailed, NotAdmitted

from .faulty_server import Answer, Handler, Site, endless, serving, status
from .hostile_archives import MLMODEL

URI = "mlflow-artifacts:/1/model"


@pytest.fixture(autouse=True)
def _own_tracking_uri(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    yield
    mlflow.set_tracking_uri(None)  # fetching sets it for the process


def registry(files: list[dict[str, object]], download: Answer) -> Answer:
    """Lists ``files`` and answers each download by ``download``."""

    def answer(handler: Handler) -> None:
        if "/mlflow-artifacts/artifacts/" in handler.path:
            download(handler)
            return
        if "?path=" not in handler.path:
            handler.begin(404, 0)
            return
        body = json.dumps({"files": files}).encode()
        handler.begin(200, len(body), Content_Type="application/json")
        handler.wfile.write(body)

    return answer


def get(site: Site, workspace: Path, **options: object) -> Path:
    base = site.url.removesuffix("/models/churn.tar.gz")
    return fetch(URI, workspace, tracking_uri=base, **options)  # type: ignore[arg-type]


def send(handler: Handler) -> None:
    handler.begin(200, len(MLMODEL))
    handler.wfile.write(MLMODEL)


def file(path: str, size: int = 3) -> dict[str, object]:
    return {"path": path, "is_dir": False, "file_size": size}


def test_its_files_come_as_they_are(tmp_path: Path) -> None:
    with serving(b"", registry([file("MLmodel")], send)) as site:
        assert (get(site, tmp_path) / "MLmodel").read_bytes() == MLMODEL


def test_a_file_that_is_longer_than_it_said_ends_the_download(tmp_path: Path) -> None:
    with serving(b"", registry([file("MLmodel")], endless)) as site:
        with pytest.raises(NotAdmitted, match=ENV_MAX_MODEL_BYTES):
            get(site, tmp_path, limits=Limits(max_bytes=3_000_000))
        with pytest.raises(DownloadFailed, match="load timeout"):
            get(site, tmp_path, timeout=0.5)


def test_a_size_above_the_limit_is_believed_at_once(tmp_path: Path) -> None:
    with (
        serving(b"", registry([file("MLmodel", 10**15)], send)) as site,
        pytest.raises(NotAdmitted, match=ENV_MAX_MODEL_BYTES),
    ):
        get(site, tmp_path)


@pytest.mark.parametrize(
    "path",
    ["../escaped", "/escaped", "a/../../escaped", "x\u202ey"],
    ids=["up", "absolute", "up again", "right to left"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(path: str, tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    workspace.mkdir(mode=0o700)
    with (
        serving(b"", registry([file(path)], send)) as site,
        pytest.raises((NotAdmitted, DownloadFailed)),
    ):
        get(site, workspace)
    assert [entry.name for entry in tmp_path.iterdir()] == ["work"]
    assert list(workspace.iterdir()) == []


def test_a_server_that_fails_is_told_about(tmp_path: Path) -> None:
    with (
        serving(b"", registry([file("MLmodel")], status(500))) as site,
        pytest.raises(DownloadFailed, match="cannot be downloaded"),
    ):
        get(site, tmp_path)
    assert list(tmp_path.iterdir()) == []
