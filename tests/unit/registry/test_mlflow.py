"""The registry port against recorded shapes of MLflow's REST answers; the real one is in integration."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx2
import pytest

from serinus.api.status import PinnedModel
from serinus.core.observed import ResolveFailed
from serinus.registry.mlflow import MlflowRegistry
from serinus_server import contract

BASE = "http://mlflow:5000"
FILES = {
    "1/models/m-abc/artifacts/MLmodel": b"flavors: {}",
    "1/models/m-abc/artifacts/data/x.bin": b"\x00" * 10,
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Mlflow:
    """Answers as MLflow 3 does; ``status`` and ``source`` of version 2 may be set."""

    def __init__(self) -> None:
        self.status = "READY"
        self.source = "models:/m-abc"
        self.size = 10
        self.asked: list[str] = []
        self.listing: httpx2.Response | None = None
        self.version: object = None

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path, query = request.url.path, dict(request.url.params)
        self.asked.append(path)
        version = {"name": "churn", "version": "2", "status": self.status, "source": self.source}
        if self.version is not None and path.endswith("model-versions/get"):
            return httpx2.Response(200, json=self.version)
        if self.listing is not None and path == "/api/2.0/mlflow-artifacts/artifacts":
            return self.listing
        if path.endswith("model-versions/get") and query == {"name": "churn", "version": "2"}:
            return httpx2.Response(200, json={"model_version": version})
        if path.endswith("registered-models/alias") and query == {
            "name": "churn",
            "alias": "champion",
        }:
            return httpx2.Response(200, json={"model_version": version})
        if path.endswith("logged-models/m-abc"):
            info = {"artifact_uri": "mlflow-artifacts:/1/models/m-abc/artifacts"}
            return httpx2.Response(200, json={"model": {"info": info}})
        if path == "/api/2.0/mlflow-artifacts/artifacts":
            listing = {
                "1/models/m-abc/artifacts": [
                    {"path": "MLmodel", "is_dir": False, "file_size": 11}, {"path": "data", "is_dir": True},
                    {"path": "registered_model_meta", "is_dir": False, "file_size": 50},
                ],
                "1/models/m-abc/artifacts/data": [{"path": "x.bin", "is_dir": False, "file_size": self.size}],
            }  # fmt: skip
            return httpx2.Response(200, json={"files": listing[query["path"]]})
        name = path.removeprefix("/api/2.0/mlflow-artifacts/artifacts/")
        if name in FILES:
            return httpx2.Response(200, content=FILES[name])
        return httpx2.Response(
            404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}
        )


@pytest.fixture
def mlflow() -> Mlflow:
    return Mlflow()


@pytest.fixture
async def registry(mlflow):
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(mlflow)) as client:
        yield MlflowRegistry(BASE, client, digest_limit=1000)


DIGEST = contract.digest_of([("MLmodel", sha(b"flavors: {}")), ("data/x.bin", sha(b"\x00" * 10))])


@pytest.mark.parametrize("uri", ["models:/churn/2", "models:/churn@champion"])
async def test_a_version_and_an_alias_are_pinned_to_version_and_digest(registry, uri: str) -> None:
    assert await registry.resolve(uri) == PinnedModel(
        uri=uri, pinned_uri="models:/churn/2", name="churn", version="2", digest=DIGEST
    )


async def test_a_model_that_is_too_large_to_hash_is_pinned_by_its_version(mlflow, registry) -> None:
    mlflow.size = 2000
    found = await registry.resolve("models:/churn/2")
    assert (found.version, found.digest) == ("2", "")


async def test_files_that_the_server_does_not_serve_are_not_asked_for(mlflow, registry) -> None:
    mlflow.source = "s3://bucket/model"
    found = await registry.resolve("models:/churn/2")
    assert found.digest == ""
    assert len(mlflow.asked) == 1


async def test_a_version_that_does_not_exist_is_told(registry) -> None:
    found = await registry.resolve("models:/churn/3")
    assert found == ResolveFailed("ModelNotFound", "not found")


async def test_a_version_that_is_not_ready_is_told(mlflow, registry) -> None:
    mlflow.status = "PENDING_REGISTRATION"
    found = await registry.resolve("models:/churn/2")
    assert found.reason == "ModelNotReady"


async def test_without_a_tracking_server_the_setting_is_named() -> None:
    async with httpx2.AsyncClient() as client:
        found = await MlflowRegistry(None, client).resolve("models:/churn/2")
    assert found.reason == "NoRegistry"
    assert "SERINUS_MLFLOW_TRACKING_URI" in found.message


async def test_a_server_that_is_down_is_a_value() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(refuse)) as client:
        found = await MlflowRegistry(BASE, client).resolve("models:/churn/2")
    assert found.reason == "RegistryUnavailable"


async def test_a_folder_is_hashed_as_the_server_will_hash_it(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_bytes(b"flavors: {}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.bin").write_bytes(b"\x00" * 10)
    async with httpx2.AsyncClient() as client:
        registry = MlflowRegistry(None, client, allow_files=True)
        found = await registry.resolve(f"file://{tmp_path}")
        missing = await registry.resolve(f"file://{tmp_path}/nothing")
    assert found.digest == DIGEST
    assert missing.reason == "ModelNotFound"


@pytest.mark.parametrize(
    "listing",
    {
        "a login page": {"text": "<html>login</html>"},
        "no object": {"json": ["MLmodel"]},
        "files of another shape": {"json": {"files": ["MLmodel"]}},
        "a size in words": {"json": {"files": [{"path": "MLmodel", "file_size": "large"}]}},
        "a way up": {"json": {"files": [{"path": "..", "is_dir": True}]}},
    }.values(),
)
async def test_a_listing_that_cannot_be_read_is_a_value(mlflow, registry, listing) -> None:
    mlflow.listing = httpx2.Response(200, **listing)
    found = await registry.resolve("models:/churn/2")
    assert isinstance(found, ResolveFailed)
    assert "list of files" in found.message


async def test_folders_that_hold_themselves_end(mlflow, registry) -> None:
    mlflow.listing = httpx2.Response(200, json={"files": [{"path": "again", "is_dir": True}] * 99})
    assert (await registry.resolve("models:/churn/2")).digest == ""


@pytest.mark.parametrize("told", [["x"], {"model_version": "2"}, {"model_version": {}}])
async def test_a_version_of_another_shape_is_a_value(mlflow, registry, told) -> None:
    mlflow.version = told
    found = await registry.resolve("models:/churn/2")
    assert found.reason == "RegistryUnavailable"


async def test_a_tracking_uri_that_is_none_is_a_value() -> None:
    async with httpx2.AsyncClient() as client:
        found = await MlflowRegistry("http://fd00::1:5000", client).resolve("models:/churn/2")
    assert found.reason == "RegistryUnavailable"
