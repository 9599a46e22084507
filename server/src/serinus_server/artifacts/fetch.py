"""Bring the model's files into a private folder, from which alone they are checked and loaded."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from serinus_server import contract
from serinus_server.artifacts.archive import SUFFIXES, unpack
from serinus_server.artifacts.folder import check_private
from serinus_server.artifacts.limits import Budget, Limits
from serinus_server.artifacts.sources.job import Job, Patience
from serinus_server.errors import DownloadFailed


def fetch(
    uri: str,
    into: Path,
    *,
    tracking_uri: str = "",
    limits: Limits | None = None,
    timeout: float | None = None,
    patience: Patience | None = None,
) -> Path:
    """Bring the model at ``uri`` to a new folder below ``into``, and return that folder.

    ``uri`` is ``file:///FOLDER``; ``models:/``, ``runs:/`` or ``mlflow-artifacts:/``, for which
    ``tracking_uri`` names the MLflow server; an archive at ``http://`` or ``https://``; a prefix or
    an archive at ``s3://`` or ``gs://``. Nothing in the returned folder is a link, nothing of it is
    shared with another folder, and only this user can write to it, so that it stays as it was
    checked. ``timeout`` is in seconds.

    Raises:
        DownloadFailed: the model is not there, cannot be read or not be written. What was
            downloaded is removed.
        NotAdmitted: it holds something else than regular files, or too much.
    """
    limits = limits or Limits()
    deadline = None if timeout is None else time.monotonic() + timeout
    job = Job(Budget(limits), patience or Patience(), deadline)
    check_private(into)
    target = into / "model"
    target.mkdir(mode=0o700)
    try:
        folder = _fetch(uri, target, tracking_uri, job)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    note = folder / contract.REGISTRY_NOTE
    note.unlink(missing_ok=True)
    return folder


def _fetch(uri: str, target: Path, tracking_uri: str, job: Job) -> Path:
    scheme = uri.partition(":")[0]
    if scheme in ("models", "runs", "mlflow-artifacts"):
        from serinus_server.artifacts.sources.mlflow import download_mlflow

        return download_mlflow(uri, target, tracking_uri, job)
    if scheme == "file":
        from serinus_server.artifacts.sources.local import copy_folder

        copy_folder(uri, target, job)
        return target
    if scheme not in ("http", "https", "s3", "gs"):
        raise DownloadFailed(f"models cannot be had from {scheme}: URIs")
    archive = _suffix(uri)
    if archive is None:
        if scheme in ("http", "https"):
            raise DownloadFailed(f"{uri} is no archive: it must end in {', '.join(SUFFIXES)}")
        from serinus_server.artifacts.sources.objects import download_prefix

        download_prefix(uri, target, job)
        return target
    packed = target / f"packed{archive}"
    _download(scheme, uri, packed, job)
    folder = target / "unpacked"
    folder.mkdir(mode=0o700)
    root = unpack(packed, folder, job.budget.limits)
    packed.unlink()
    return root


def _download(scheme: str, uri: str, path: Path, job: Job) -> None:
    """Write one archive to ``path``."""
    if scheme in ("http", "https"):
        from serinus_server.artifacts.sources.http import download_http

        download_http(uri, path, job)
    else:
        from serinus_server.artifacts.sources.objects import download_object

        download_object(uri, path, job)


def _suffix(uri: str) -> str | None:
    return next((suffix for suffix in SUFFIXES if uri.endswith(suffix)), None)
