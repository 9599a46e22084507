"""Bring the model's files into a private folder, from which alone they are checked and loaded."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from serinus_server import contract
from serinus_server.artifacts.folder import model_files
from serinus_server.errors import DownloadFailed, NotAdmitted

_USER_INFO = re.compile(r"//[^/\s@]*@")  # passwords in URLs are nobody's business


def fetch(uri: str, into: Path, *, tracking_uri: str = "") -> Path:
    """Copy the model at ``uri`` to a folder below ``into``, and return that folder.

    ``uri`` is ``file:///FOLDER``, or ``models:/`` and ``runs:/``, for which ``tracking_uri`` names
    the MLflow server. Nothing in the returned folder is a link.

    Raises:
        DownloadFailed: the model is not there or cannot be read.
        NotAdmitted: it holds something else than regular files.
    """
    target = into / "model"
    target.mkdir(mode=0o700)
    if uri.startswith("file:"):
        _copy(_local_path(uri), target)
        return _without_note(target)
    if not tracking_uri:
        raise DownloadFailed(f"{uri} needs MLFLOW_TRACKING_URI, which is not set")
    return _without_note(_download(uri, target, tracking_uri))


def _without_note(folder: Path) -> Path:
    note = folder / contract.REGISTRY_NOTE
    if note.is_file():
        note.unlink()
    return folder


def _local_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise DownloadFailed(f"{uri} names another machine; write file:///FOLDER")
    return Path(unquote(parts.path))


def _copy(source: Path, target: Path) -> None:
    try:
        if not source.is_dir():
            raise DownloadFailed(f"the folder {source.name!r} of the model's URI does not exist")
        for path in model_files(source):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy, follow_symlinks=False)
    except OSError as error:
        raise DownloadFailed(f"the model cannot be copied: {error.strerror or error}") from error


def _download(uri: str, target: Path, tracking_uri: str) -> Path:
    import mlflow.artifacts

    # For the whole process: looking up a registered model takes no argument for it.
    mlflow.set_tracking_uri(tracking_uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(target)))
    except Exception as error:  # network, permissions, storage libraries: all tell in words
        reason = (str(error) or type(error).__name__).splitlines()[0]
        reason = _USER_INFO.sub("//", reason)
        raise DownloadFailed(f"{uri} cannot be downloaded: {reason}") from error
    if not folder.resolve().is_relative_to(target.resolve()):
        raise NotAdmitted(f"{uri} was not downloaded into the server's own folder")
    return folder
