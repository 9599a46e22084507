"""Unpack an archive that holds one model, into a folder and nowhere else.

The archive is somebody else's. Its names are checked before they become paths, only regular files
are made, each new and by our own hand, and everything is counted as it is unpacked.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from serinus_server.artifacts.formats.zipped import MAX_RATIO, open_zip
from serinus_server.artifacts.limits import Budget, Limits
from serinus_server.artifacts.mlmodel import FILE_NAME
from serinus_server.artifacts.names import Names, check_name, shown
from serinus_server.artifacts.sources.job import not_written
from serinus_server.errors import NotAdmitted

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
_CHUNK = 1024 * 1024
# What the standard library raises on archives that nobody's tool wrote.
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError,
    RecursionError, KeyError, NotImplementedError, struct.error,
)  # fmt: skip
_FREE_BYTES = 16 * 1024 * 1024  # below which nothing is called a bomb


def unpack(archive: Path, into: Path, limits: Limits) -> Path:
    """Unpack ``archive``, of one of ``SUFFIXES``, into the empty folder ``into``.

    Returns the model's folder: ``into``, or the only folder in it.

    Raises:
        NotAdmitted: the archive is broken, holds anything but plain files, or too much.
        DownloadFailed: it cannot be written.
    """
    writer = _Writer(into, Budget(limits), archive.stat().st_size)
    try:
        if archive.name.endswith(".zip"):
            _unpack_zip(archive, writer, limits)
        else:
            _unpack_tar(archive, writer)
    except _BROKEN:
        raise NotAdmitted("the model's archive is broken, or none") from None
    except gzip.BadGzipFile:
        raise NotAdmitted("the model's archive is not compressed with gzip") from None
    except OSError as error:
        raise not_written(error) from error
    return _root(into)


class _Writer:
    """Makes the files of one archive."""

    def __init__(self, into: Path, budget: Budget, packed: int) -> None:
        self._into = into
        self._budget = budget
        self._names = Names()
        self._most = max(_FREE_BYTES, MAX_RATIO * packed)
        self._folders = 0

    def folder(self, name: str) -> None:
        """Take note of a folder; it is made when a file in it is."""
        self._folders += 1
        if self._folders > self._budget.limits.max_files:
            raise NotAdmitted("the model's archive has too many folders")
        if name not in ("", "."):
            check_name(name)

    def file(self, name: str, content: IO[bytes]) -> None:
        """Make the file ``name``."""
        self._names.add(name)
        self._budget.add_file()
        path = self._into / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            while chunk := content.read(_CHUNK):
                self._count(chunk)
                file.write(chunk)

    def rest(self, stream: IO[bytes]) -> None:
        """Read what is behind the last member, for the checksum at its end."""
        while chunk := stream.read(_CHUNK):
            self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self._budget.add_bytes(len(chunk))
        if self._budget.bytes > self._most:
            raise NotAdmitted(
                f"the model's archive unpacks to more than {MAX_RATIO} times its size: "
                "it looks like a bomb"
            )


def _unpack_tar(path: Path, writer: _Writer) -> None:
    with _uncompressed(path) as stream, tarfile.open(
        fileobj=stream, mode="r:", encoding="utf-8", errors="strict"
    ) as archive:  # fmt: skip
        for member in archive:
            name = _plain(member.name)
            if member.isdir():
                writer.folder(name)
                continue
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                raise NotAdmitted(
                    f"the model's archive holds {shown(name)}, which is {_kind(member)}: only "
                    "regular files are unpacked"
                )
            content = archive.extractfile(member)
            assert content is not None  # noqa: S101 - it is a regular file
            with content:
                writer.file(name, content)
        writer.rest(stream)


def _unpack_zip(path: Path, writer: _Writer, limits: Limits) -> None:
    with open_zip(path, Budget(limits)) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                writer.folder(_plain(entry.filename))
                continue
            with archive.open(entry) as content:
                writer.file(_plain(entry.filename), content)


def _plain(name: str) -> str:
    """``tar`` writes ./a/b for a/b, and a/ for folders."""
    return name.removeprefix("./").removesuffix("/")


def _bounded(size: int | None) -> int:
    """How much to read at once: headers say their own length, and would fill the memory."""
    if size is None or not 0 <= size <= _CHUNK:
        raise tarfile.ReadError("too long a header")
    return size


class _Plain(io.FileIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(_bounded(size)) or b""


class _Gzip(gzip.GzipFile):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(_bounded(size))


@contextmanager
def _uncompressed(path: Path) -> Iterator[IO[bytes]]:
    if path.name.endswith(".tar"):
        with _Plain(path) as plain:
            yield cast("IO[bytes]", plain)
        return
    with path.open("rb") as packed, _Gzip(fileobj=packed, mode="rb") as stream:
        yield cast("IO[bytes]", stream)


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    return "a device or a pipe" if member.isdev() else "of an unusual kind"


def _root(folder: Path) -> Path:
    if (folder / FILE_NAME).exists():
        return folder
    inside = list(folder.iterdir())
    if len(inside) == 1 and (inside[0] / FILE_NAME).exists():
        return inside[0]
    raise NotAdmitted(
        f"the model's archive has no {FILE_NAME} at its top, or in the only folder there"
    )
