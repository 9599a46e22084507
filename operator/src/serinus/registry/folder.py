"""The digest of a model folder on this machine, as the model server will hash it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from serinus.api.status import PinnedModel
from serinus.registry.failure import Failed
from serinus_server import contract

MAX_FILES = 10_000
_CHUNK = 4 * 1024 * 1024


async def resolve_folder(uri: str) -> PinnedModel:
    """Pins ``file:///FOLDER`` by the digest of its files. A cancelled call stops reading soon.

    Raises:
        Failed: the folder is no model, or holds something that the server would refuse.
        OSError: a file cannot be read.
    """
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_resolve, uri, stop)
    finally:
        stop.set()  # a thread cannot be cancelled, and the process ends only after its threads


def _resolve(uri: str, stop: threading.Event) -> PinnedModel:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise Failed("ModelNotFound", f"{uri} names another machine; write file:///FOLDER")
    folder = Path(unquote(parts.path))
    if not (folder / "MLmodel").is_file():
        raise Failed(
            "ModelNotFound", f"{uri} is no folder with an MLmodel file that the operator sees"
        )
    hashed = [
        (name, _sha256(path, stop))
        for name, path in _files(folder)
        if name != contract.REGISTRY_NOTE
    ]
    digest = contract.digest_of(hashed)
    return PinnedModel(uri=uri, pinned_uri=uri, name=folder.name, version="", digest=digest)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every regular file, by its path below the folder."""
    count = 0
    for base, folders, files in os.walk(folder, onerror=_raise):
        for path in (Path(base, name) for name in (*folders, *files)):
            name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                what = "a link" if stat.S_ISLNK(mode) else "no regular file"
                raise Failed(
                    "ModelNotAdmitted",
                    f"the model holds {name!r}, which is {what}: only regular files are served",
                )
            count += 1
            if count > MAX_FILES:
                raise Failed("ModelNotAdmitted", f"the model has more than {MAX_FILES} files")
            yield name, path


def _raise(error: OSError) -> None:
    raise error


def _sha256(path: Path, stop: threading.Event) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if stop.is_set():
                raise Failed("RegistryUnavailable", "the look-up was stopped")
            total.update(chunk)
    return total.hexdigest()
