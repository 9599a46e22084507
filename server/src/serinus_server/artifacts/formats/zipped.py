"""Open zip files that every reader understands alike.

Zip files list their content at the end, and once more in front of each entry. Readers differ in
which they believe, so that one can be shown something harmless and the other something else. Here
both must say the same, without gaps, so that there is nothing to differ about.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from serinus_server.artifacts.limits import Budget
from serinus_server.artifacts.names import Names, check_name, shown
from serinus_server.errors import NotAdmitted

MAX_RATIO = 100  # uncompressed to compressed bytes, above which it is called a bomb
_FREE_BYTES = 1024 * 1024  # below which the ratio says nothing
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_END_RECORD = struct.Struct("<4s4H2IH")
_MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
_ZIP64_RECORDS_BYTES = 56 + 20
_DESCRIPTOR_BYTES = 24  # what may follow an entry: its sizes, when they were not known before
_ENCRYPTED = 0x1 | 0x20 | 0x40 | 0x2000  # or patched, or with masked headers
_DESCRIPTOR, _UTF8 = 0x8, 0x800
_REGULAR, _FOLDER = 0o10, 0o4


@contextmanager
def open_zip(path: Path, budget: Budget) -> Iterator[zipfile.ZipFile]:
    """The zip file ``path``, checked as a whole; its uncompressed size counts for ``budget``.

    Raises:
        NotAdmitted: it is no zip file, ambiguous, a bomb, or its names are not allowed.
    """
    try:
        with path.open("rb") as file:
            directory = _directory_bytes(file, path)
            with zipfile.ZipFile(file) as archive:
                end = _check_entries(archive, file, path, budget)
                _check_directory(archive, path, end, directory)
                yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, struct.error):
        raise NotAdmitted(f"{shown(path.name)} is no zip file, or a broken one") from None


def _check_entries(archive: zipfile.ZipFile, file: BinaryIO, path: Path, budget: Budget) -> int:
    """Check every entry; returns where the last one ends."""
    names, stored, total, end = Names(), 0, 0, 0
    for entry in sorted(archive.infolist(), key=lambda each: each.header_offset):
        _check_entry(entry, path)
        if entry.is_dir():
            check_name(entry.filename.rstrip("/"))
        else:
            names.add(entry.filename)
            budget.add_file()
        end = _check_place(file, entry, path, end)
        stored += entry.compress_size
        total += entry.file_size
        budget.add_bytes(entry.file_size)
    if total > max(_FREE_BYTES, MAX_RATIO * stored):
        raise NotAdmitted(
            f"{shown(path.name)} unpacks to more than {MAX_RATIO} times its size: "
            "it looks like a bomb"
        )
    return end


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    if entry.filename != entry.orig_filename:
        raise NotAdmitted(f"{shown(path.name)} has an entry with a NUL in its name")
    if entry.external_attr >> 28 not in (0, _REGULAR, _FOLDER):
        raise NotAdmitted(
            f"{shown(path.name)} holds {shown(entry.filename)}, which is a link or a device: "
            "only regular files are loaded"
        )
    if entry.flag_bits & _ENCRYPTED:
        raise NotAdmitted(f"{shown(path.name)} holds {shown(entry.filename)}, which is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotAdmitted(f"{shown(path.name)} is compressed in an unusual way; use deflate")


def _check_place(file: BinaryIO, entry: zipfile.ZipInfo, path: Path, end: int) -> int:
    """Hold the entry's own header against the directory; ``end`` of the entry before and after."""
    file.seek(entry.header_offset)
    header: tuple[Any, ...] = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    name = file.read(header[9])
    expected = entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")
    sizes = header[7], header[8]
    known = not entry.flag_bits & _DESCRIPTOR and 0xFFFFFFFF not in sizes
    if (
        header[0] != b"PK\x03\x04"
        or name != expected
        or header[2] != entry.flag_bits
        or header[3] != entry.compress_type
        or not 0 <= entry.header_offset - end <= (_DESCRIPTOR_BYTES if end else 0)
        or (known and sizes != (entry.compress_size, entry.file_size))
    ):
        raise NotAdmitted(
            f"{shown(path.name)} describes {shown(entry.filename)} in two different ways"
        )
    lengths: int = header[9] + header[10]  # of the name and of the extra field
    return entry.header_offset + _LOCAL_HEADER.size + lengths + entry.compress_size


def _directory_bytes(file: BinaryIO, path: Path) -> tuple[int, int]:
    """Bytes of the directory as its end record tells, and where that record begins."""
    start = max(0, file.seek(0, 2) - _END_RECORD.size)
    file.seek(start)
    record = file.read()
    if len(record) < _END_RECORD.size or not record.startswith(b"PK\x05\x06"):
        raise NotAdmitted(
            f"{shown(path.name)} is no zip file, or has bytes that belong to no entry at its end"
        )
    size: int = _END_RECORD.unpack(record)[5]
    if size > _MAX_DIRECTORY_BYTES:
        raise NotAdmitted(f"{shown(path.name)} has too many entries")
    return size, start


def _check_directory(
    archive: zipfile.ZipFile, path: Path, end: int, directory: tuple[int, int]
) -> None:
    """The directory follows the last entry, and its end record follows the directory."""
    size, record = directory
    behind = record - archive.start_dir - size
    before = archive.start_dir - end
    if behind not in (0, _ZIP64_RECORDS_BYTES) or not 0 <= before <= _DESCRIPTOR_BYTES:
        raise NotAdmitted(f"{shown(path.name)} has bytes that belong to no entry")
