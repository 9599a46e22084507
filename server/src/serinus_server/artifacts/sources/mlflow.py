"""Models in an MLflow registry, run or artifact store, by MLflow's own client.

MLflow tells neither how far it is nor lets itself be stopped. So it downloads file by file in a
thread, beside which the bytes on the disk are counted.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from serinus_server import contract
from serinus_server.artifacts.names import Names, check_name, shown
from serinus_server.artifacts.sources.job import Interrupted, Job
from serinus_server.errors import DownloadFailed, NotAdmitted

_USER_INFO = re.compile(r"//[^/\s@]*@")  # passwords in URLs are nobody's business
_LOOK_SECONDS = 0.1
_TRIES = 3  # of one file; MLflow's client repeats each request by itself


def download_mlflow(uri: str, target: Path, tracking_uri: str, job: Job) -> Path:
    """Write the model at ``uri`` into ``target`` or a folder below it, which is returned.

    Raises:
        DownloadFailed: it cannot be had.
        NotAdmitted: its names, number of files or size is not allowed.
    """
    if not tracking_uri:
        raise DownloadFailed(f"{uri} needs MLFLOW_TRACKING_URI, which is not set")
    # Its bars would stand between the lines of the log.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # For the whole process: looking up a registered model takes no argument for it.
    mlflow.set_tracking_uri(tracking_uri)
    root, base = _split(uri)
    try:
        repository = get_artifact_repository(root)
        listed = dict(_list(repository, base, job, Names()))
    except (DownloadFailed, NotAdmitted):
        raise
    except Exception as error:  # network, permissions, storage libraries: all tell in words
        raise DownloadFailed(f"{uri} cannot be downloaded: {_reason(error)}") from error
    if not listed:
        raise DownloadFailed(f"{uri} holds no files")
    job.expect(sum(listed.values()))
    for name in listed:
        _download(uri, repository, name, target, job)
    note = target / contract.REGISTRY_NOTE
    note.unlink(missing_ok=True)
    return target / (base or "")


def _split(uri: str) -> tuple[str, str | None]:
    """Where MLflow's client begins to count, and the model's path from there.

    A run has artifacts and logged models; only from the run on does the client find either.
    """
    if not uri.startswith("runs:/"):
        return uri, None
    run, _, path = uri.removeprefix("runs:/").strip("/").partition("/")
    return f"runs:/{run}", path or None


def _list(repository: Any, folder: str | None, job: Job, names: Names) -> Iterator[tuple[str, int]]:
    """Names and sizes of all files; the server's word. A run tells some of them twice."""
    told = set()
    job.check_time()
    for info in repository.list_artifacts(folder):
        if info.path in told or info.path == contract.REGISTRY_NOTE:
            continue
        told.add(info.path)
        check_name(info.path)  # bounds the depth, too
        if folder and not info.path.startswith(f"{folder}/"):
            raise NotAdmitted(f"the registry lists {shown(info.path)} in another folder")
        if info.is_dir:
            yield from _list(repository, info.path, job, names)
        else:
            names.add(info.path)
            job.budget.add_file()
            yield info.path, int(info.file_size or 0)


def _download(uri: str, repository: Any, name: str, target: Path, job: Job) -> None:
    path = target / name
    for tried in range(1, _TRIES + 1):
        try:
            _watch(lambda: repository.download_artifacts(name, dst_path=str(target)), path, job)
        except Interrupted as interruption:
            if tried == _TRIES:
                raise DownloadFailed(f"{uri} cannot be downloaded: {interruption}") from None
        else:
            break
    if path.is_symlink() or not path.is_file():
        raise NotAdmitted(f"{uri} was not downloaded into the server's own folder")


def _watch(download: Callable[[], object], path: Path, job: Job) -> None:
    """Run ``download`` in a thread, and count what ``path`` grows by meanwhile.

    Raises:
        Interrupted: it failed.
    """
    failure: list[BaseException] = []

    def run() -> None:
        try:
            download()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failure.append(error)

    thread = threading.Thread(target=run, name="mlflow-download", daemon=True)
    thread.start()
    counted = 0
    while True:
        thread.join(_LOOK_SECONDS)
        over = not thread.is_alive()
        size = path.stat().st_size if path.exists() else 0
        job.add(max(0, size - counted))
        counted = max(counted, size)
        if over:
            break
    if failure:
        job.budget.bytes -= counted
        path.unlink(missing_ok=True)
        raise Interrupted(_reason(failure[0])) from failure[0]


def _reason(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return _USER_INFO.sub("//", text.splitlines()[0])
