"""A model folder on this machine: which files it has, and the digest over exactly those."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

from serinus_server.contract import digest_of
from serinus_server.errors import NotAdmitted

MAX_FILES = 10_000


def model_files(folder: Path) -> Iterator[Path]:
    """Every regular file under ``folder``, in no particular order.

    Raises:
        NotAdmitted: there is a link, a device or a socket, or there are too many files.
    """
    count = 0
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        name = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(mode):
            raise NotAdmitted(f"the model holds {name!r}, which is no regular file")
        count += 1
        if count > MAX_FILES:
            raise NotAdmitted(f"the model has more than {MAX_FILES} files")
        yield path


def digest(folder: Path) -> str:
    """The contract's digest over all files under ``folder``."""
    return digest_of(
        (path.relative_to(folder).as_posix(), _sha256(path)) for path in model_files(folder)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
