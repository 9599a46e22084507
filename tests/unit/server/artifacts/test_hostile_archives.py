"""Archives become a folder and nothing else, or are refused with a reason."""

from __future__ import annotations

import io
import resource
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serinus_server.artifacts.admission import admit
from serinus_server.artifacts.archive import unpack
from serinus_server.artifacts.limits import Limits
from serinus_server.contract import ENV_MAX_MODEL_BYTES
from serinus_server.errors import DownloadFailed, NotAdmitted

from .hostile_archives import CASES, GOOD, Case, member, tarred
from .hostile_files import zipped


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir(mode=0o700)
    return folder


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_archive_is_refused_and_writes_nowhere_else(
    case: Case, into: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    archive = tmp_path / f"model{case.suffix}"
    archive.write_bytes(case.make(canary))
    with pytest.raises(NotAdmitted) as refused:
        unpack(archive, into, Limits())
    assert case.why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} == {"into", archive.name}
    for path in into.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.is_file()


@pytest.mark.parametrize("inside", ["", "churn/", "./", "./churn/"])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".zip"])
def test_a_model_is_unpacked_from_the_top_or_from_the_only_folder(
    inside: str, suffix: str, into: Path, tmp_path: Path
) -> None:
    archive = tmp_path / f"model{suffix}"
    if suffix == ".zip":
        if inside.startswith("./"):
            pytest.skip("nobody writes such zip files")
        archive.write_bytes(zipped({f"{inside}{name}": content for name, content in GOOD.items()}))
    else:
        with tarfile.open(archive, "w" if suffix == ".tar" else "w:gz") as made:
            if inside:
                made.addfile(*member(inside, kind=tarfile.DIRTYPE)[:1])
            for name, content in GOOD.items():
                info, _ = member(f"{inside}{name}", content)
                made.addfile(info, io.BytesIO(content))
    folder = unpack(archive, into, Limits())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == GOOD
    assert admit(folder).loader == "mlflow.sklearn"


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_bytes_and_files_are_counted_while_they_are_unpacked(
    suffix: str, into: Path, tmp_path: Path
) -> None:
    archive = tmp_path / f"model{suffix}"
    archive.write_bytes(
        zipped({**GOOD, "w": bytes(5000)}) if suffix == ".zip" else tarred(member("w", bytes(5000)))
    )
    with pytest.raises(NotAdmitted, match=ENV_MAX_MODEL_BYTES):
        unpack(archive, into, Limits(max_bytes=4000))
    assert sum(path.stat().st_size for path in into.rglob("*") if path.is_file()) <= 4000
    with pytest.raises(NotAdmitted, match="more than 2 files"):
        unpack(archive, _empty(tmp_path / "again"), Limits(max_files=2))


def test_endless_folders_are_refused(into: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(tarred(*(member(f"d{n}", kind=tarfile.DIRTYPE) for n in range(50))))
    with pytest.raises(NotAdmitted, match="folders"):
        unpack(archive, into, Limits(max_files=20))


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB: the kernel refuses, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_told_about(
    into: Path, tmp_path: Path, small_files: None
) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(tarred(member("w", bytes(200_000))))
    with pytest.raises(DownloadFailed, match="cannot be written"):
        unpack(archive, into, Limits())


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder
