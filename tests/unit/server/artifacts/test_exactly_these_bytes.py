"""What is hashed is what is loaded: nobody can exchange it in between."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest, walk
from serinus_server.errors import DigestMismatch, DownloadFailed, NotAdmitted
from serinus_server.service.loading import Loader, Source
from serinus_server.telemetry.metrics import Metrics

from .hostile_folders import HARMLESS, SKLEARN, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    write(folder, SKLEARN, modelDOTpkl=HARMLESS, dataDOTbin=b"first" * 100_000)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    return folder


def loader(source: Path, workspace: Path, expected: str, load_runtime: Any) -> Loader:
    return Loader(
        Source(source.as_uri(), expected), "1", workspace, Metrics("m", "r", ()), load_runtime
    )


class Loaded:
    """Stands for a model: it remembers the digest of what it was given."""

    flavor = "sklearn"

    def __init__(self, folder: Path) -> None:
        self.digest = digest(folder)


def test_a_source_that_changes_after_it_was_checked_is_not_what_is_loaded(
    source: Path, workspace: Path
) -> None:
    expected = digest(source)

    def exchange_and_load(folder: Path) -> Any:
        for path in source.iterdir():
            path.write_bytes(b"evil")
        (source / "more").write_bytes(b"evil")
        return Loaded(folder)

    runtime, _ = loader(source, workspace, expected, exchange_and_load).load()
    assert runtime.digest == expected  # type: ignore[attr-defined]


def test_a_second_name_of_the_sources_file_does_not_reach_the_copy(
    source: Path, workspace: Path, tmp_path: Path
) -> None:
    os.link(source / "data.bin", tmp_path / "second name")
    copy = fetch(source.as_uri(), workspace)
    before = digest(copy)
    (tmp_path / "second name").write_bytes(b"evil")
    assert digest(copy) == before
    assert all((copy / file.name).stat().st_nlink == 1 for file in walk(copy))


@contextmanager
def exchanging(path: Path) -> Iterator[None]:
    """Another writer, who swaps ``path`` between a file, a link and a folder as fast as it can."""
    over = threading.Event()
    other = path.with_name("other")

    def swap() -> None:
        while not over.is_set():
            other.write_bytes(b"evil")
            other.replace(path)
            other.symlink_to("/etc/passwd")
            other.replace(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_writer_beside_the_copy_gets_in_no_byte_that_is_not_hashed(
    source: Path, tmp_path: Path
) -> None:
    secret = Path("/etc/passwd").read_bytes()
    outcomes = set()
    with exchanging(source / "data.bin"):
        for number in range(60):
            workspace = tmp_path / f"work{number}"
            workspace.mkdir(mode=0o700)
            try:
                runtime, _ = loader(source, workspace, "", Loaded).load()
            except (NotAdmitted, DownloadFailed):
                outcomes.add("refused")
                continue
            outcomes.add("loaded")
            copy = workspace / "model"
            assert runtime.digest == digest(copy)  # type: ignore[attr-defined]
            assert (copy / "data.bin").read_bytes() != secret
    assert "refused" in outcomes


@pytest.mark.parametrize("change", ["byte", "name", "more", "less"])
def test_other_bytes_names_or_files_than_the_expected_are_refused_before_a_load(
    change: str, source: Path, workspace: Path
) -> None:
    expected = digest(source)
    if change == "byte":
        (source / "data.bin").write_bytes(b"First" + b"first" * 99_999)
    elif change == "name":
        (source / "data.bin").rename(source / "data.bim")
    elif change == "more":
        (source / "more").touch()
    else:
        (source / "data.bin").unlink()
    loaded: list[Path] = []
    with pytest.raises(DigestMismatch, match="was asked for"):
        loader(source, workspace, expected, loaded.append).load()
    assert loaded == []


def test_the_copy_is_for_this_user_alone(source: Path, workspace: Path) -> None:
    source.chmod(0o777)
    (source / "data.bin").chmod(0o666)
    folder = fetch(source.as_uri(), workspace)
    assert folder.stat().st_mode & 0o777 == 0o700
