"""A model folder on this machine: which files it has, and the digest over exactly those."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from serinus_server.artifacts.limits import Budget, Limits
from serinus_server.artifacts.names import MAX_DEPTH, Names, shown
from serinus_server.contract import digest_of
from serinus_server.errors import DownloadFailed, NotAdmitted

# A name that turns into a link or a pipe after it was looked at is an error, and never followed
# or waited for.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One regular file: ``name`` relative to the model's folder, with ``/`` between its parts."""

    name: str
    folder: int  # descriptor of the folder that holds it, open while the walk is at it

    @contextmanager
    def open(self) -> Iterator[FileIO]:
        """The file's bytes, from the file that the walk saw and no link in its place.

        Raises:
            NotAdmitted: it is no regular file any more.
            OSError: it cannot be read.
        """
        descriptor = os.open(self.name.rpartition("/")[2], _OPEN, dir_fd=self.folder)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotAdmitted(f"the model holds {shown(self.name)}, which is no regular file")
            yield file


def check_private(folder: Path) -> None:
    """Refuse a ``folder`` in which others could exchange what was checked before it is loaded.

    Raises:
        DownloadFailed: it belongs to somebody else, or others may write to it.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise DownloadFailed("the folder for the model is not private: others can write to it")


def walk(folder: Path, limits: Limits | None = None) -> Iterator[ModelFile]:
    """Every regular file under ``folder``, in no particular order.

    No link is followed, not even one that takes a folder's place meanwhile.

    Raises:
        NotAdmitted: there is a link, a device, a pipe or a socket, a name that is not allowed, or
            more than ``limits``.
        OSError: the folder cannot be read.
    """
    limits = limits or Limits()
    budget, names, folders_left = Budget(limits), Names(), limits.max_files
    for base, folders, files, descriptor in os.fwalk(folder, onerror=_raise):
        prefix = Path(base).relative_to(folder).as_posix()
        folders_left -= 1
        if folders_left < 0 or prefix.count("/") >= MAX_DEPTH:
            raise NotAdmitted("the model has too many folders, or folders within folders")
        for entry in (*folders, *files):
            name = entry if prefix == "." else f"{prefix}/{entry}"
            found = os.stat(entry, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                continue
            if not stat.S_ISREG(found.st_mode):
                raise NotAdmitted(
                    f"the model holds {shown(name)}, which is {_kind(found.st_mode)}: "
                    "only regular files are loaded"
                )
            names.add(name)
            budget.add_file()
            budget.add_bytes(found.st_size)
            yield ModelFile(name, descriptor)


def model_files(folder: Path, limits: Limits | None = None) -> Iterator[Path]:
    """The paths of ``walk``."""
    return (folder / file.name for file in walk(folder, limits))


def digest(folder: Path, limits: Limits | None = None) -> str:
    """The contract's digest over all files under ``folder``."""
    return digest_of((file.name, _sha256(file)) for file in walk(folder, limits))


def _sha256(file: ModelFile) -> str:
    with file.open() as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _raise(error: OSError) -> None:
    raise error
