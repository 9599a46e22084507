"""Folders of this machine: read only when that is allowed, and only what the server would serve."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import pytest

from serinus.registry.mlflow import MlflowRegistry
from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}")
    return folder


@pytest.fixture
async def registry():
    async with httpx2.AsyncClient() as client:
        yield MlflowRegistry(None, client, allow_files=True)


@pytest.mark.parametrize("form", ["file://{}", "file:{}"])
async def test_a_folder_is_refused_unless_folders_are_allowed(model: Path, form: str) -> None:
    async with httpx2.AsyncClient() as client:
        found = await MlflowRegistry(None, client).resolve(form.format(model))
    assert found.reason == "FilesNotAllowed"
    assert "SERINUS_ALLOW_FILE_URIS" in found.message


async def test_mlflows_note_changes_no_digest_here_nor_in_the_server(
    model: Path, registry, tmp_path: Path
) -> None:
    before = await registry.resolve(f"file://{model}")
    (model / "registered_model_meta").write_text("model_name: churn")
    (model / "data").mkdir()
    (model / "data/registered_model_meta").write_text("the model's own")
    found = await registry.resolve(f"file://{model}")
    (tmp_path / "server").mkdir()
    assert found.digest == digest(fetch(f"file://{model}", tmp_path / "server"))
    (model / "data/registered_model_meta").unlink()
    assert (await registry.resolve(f"file://{model}")).digest == before.digest


@pytest.mark.parametrize("to", ["/nonexistent", "/etc", "MLmodel"])
async def test_a_link_is_refused_by_name(model: Path, registry, to: str) -> None:
    (model / "secret").symlink_to(to)
    found = await registry.resolve(f"file://{model}")
    assert found.reason == "ModelNotAdmitted"
    assert "'secret', which is a link" in found.message


async def test_a_pipe_is_refused_and_never_opened(model: Path, registry) -> None:
    os.mkfifo(model / "pipe")
    found = await registry.resolve(f"file://{model}")
    assert found.reason == "ModelNotAdmitted"


async def test_a_path_that_cannot_be_read_is_a_value(registry, model: Path) -> None:
    found = await registry.resolve(f"file://{model}/{'x' * 5000}")
    assert found.reason in ("ModelUnreadable", "ModelNotFound")


async def test_another_machine_is_refused(registry) -> None:
    assert (await registry.resolve("file://server/model")).reason == "ModelNotFound"
