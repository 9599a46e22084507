"""Folders of this machine, copied so that nobody else writes to what is checked and loaded."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from serinus_server.artifacts.folder import walk
from serinus_server.artifacts.sources.job import Job, not_written
from serinus_server.errors import DownloadFailed

_CHUNK = 1024 * 1024


def copy_folder(uri: str, target: Path, job: Job) -> None:
    """Copy the folder that the ``file:`` URI names into ``target``.

    Raises:
        DownloadFailed: it does not exist or cannot be copied.
        NotAdmitted: it holds something else than regular files, or too much.
    """
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise DownloadFailed(f"{uri} names another machine; write file:///FOLDER")
    source = Path(unquote(parts.path))
    try:
        if not source.is_dir():
            raise DownloadFailed(f"the folder {source.name!r} of the model's URI does not exist")
        for file in walk(source, job.budget.limits):
            path = target / file.name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            job.budget.add_file()
            with file.open() as content, path.open("xb", buffering=0) as copy:
                _copy(content, copy, job)
    except OSError as error:
        raise not_written(error) from error


def _copy(content: FileIO, copy: FileIO, job: Job) -> None:
    """Counts what is read: a file may grow while it is copied."""
    buffer = memoryview(bytearray(_CHUNK))
    while count := content.readinto(buffer):
        job.add(count)
        written = 0
        while written < count:
            written += copy.write(buffer[written:count]) or 0
