"""One model's download: what it may cost, how far it is, and when to try again.

A source only says how to open a file at an offset. Here the bytes are counted, written, gone on
with after an interruption, and told about in the log.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import structlog

from serinus_server.artifacts.limits import Budget
from serinus_server.artifacts.names import shown
from serinus_server.errors import DownloadFailed

_log = structlog.stdlib.get_logger(__name__)
_LOG_SECONDS = 5.0
_LOG_SHARE = 0.1  # of the total


class Interrupted(Exception):
    """The source failed in a way that may pass. ``wait`` is what it asks for, in seconds."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class Changed(Exception):
    """The source has other bytes now than those that were begun with."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a source gives for a file from an offset on.

    ``offset`` is where its bytes begin: as asked for, or 0 where the source cannot go on. ``total``
    counts the bytes of the whole file; None: its end shows by itself, and never too early. ``tag``
    names the content; None: the source cannot tell whether it is still the same. ``chunks`` raises
    ``Interrupted`` when the connection breaks or stalls.
    """

    offset: int
    total: int | None
    tag: str | None
    chunks: Iterator[bytes]


# Of the offset, and the tag of what is there already.
Open = Callable[[int, str | None], AbstractContextManager[Piece]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try again. Times in seconds; they double from ``first`` on."""

    attempts: int = 8  # in a row, without a byte of progress
    first: float = 0.25
    longest: float = 15.0
    stall: float = 30.0  # without a byte, after which a connection counts as broken


@dataclass(slots=True)
class Job:
    """One model's download, in one thread. ``deadline`` is a time of ``time.monotonic``."""

    budget: Budget
    patience: Patience = field(default_factory=Patience)
    deadline: float | None = None
    total: int | None = None  # bytes of the whole model, where the source tells
    _started: float = field(default_factory=time.monotonic)
    _told_at: float = field(default_factory=time.monotonic)
    _told_bytes: int = 0

    def expect(self, total: int) -> None:
        """Take the source's word for how many bytes come; they are counted nevertheless.

        Raises:
            NotAdmitted: they are too many.
        """
        self.budget.check_total(self.budget.bytes + total)
        self.total = total

    def add(self, count: int) -> None:
        """Count ``count`` bytes that came.

        Raises:
            NotAdmitted: they are too many.
            DownloadFailed: the time is up.
        """
        self.budget.add_bytes(count)
        self.check_time()
        self._tell()

    def check_time(self) -> None:
        """Give up when the time is up.

        Raises:
            DownloadFailed: it is.
        """
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DownloadFailed(
                f"the download did not end within the load timeout; {self.budget.bytes} bytes came"
            )

    def download(self, name: str, open_at: Open, path: Path) -> None:
        """Write the file called ``name`` to ``path``, which must not exist.

        Raises:
            DownloadFailed: it cannot be had, or not be written.
            NotAdmitted: it is too large.
        """
        try:
            with path.open("xb") as file:
                self._download(name, open_at, file)
        except OSError as error:
            raise not_written(error) from error

    def _download(self, name: str, open_at: Open, file: BinaryIO) -> None:
        tag: str | None = None
        failures = 0
        while True:
            before = file.tell()
            try:
                with open_at(before if tag is not None else 0, tag) as piece:
                    self._go_back(file, piece.offset)
                    tag = piece.tag
                    self._write(piece, file)
            except Changed:
                self._go_back(file, 0)
                tag, why, wait = None, "it changed meanwhile", 0.0
            except Interrupted as interruption:
                why, wait = str(interruption), interruption.wait
            else:
                return
            failures = 1 if file.tell() > before else failures + 1
            if failures >= self.patience.attempts:
                raise DownloadFailed(
                    f"{shown(name)} cannot be downloaded, tried {failures} times: {why}"
                )
            self._wait(name, why, max(wait, self._pause(failures)), file.tell())

    def _write(self, piece: Piece, file: BinaryIO) -> None:
        if piece.total is not None:
            self.budget.check_total(self.budget.bytes - file.tell() + piece.total)
            self.total = self.total or piece.total
        for chunk in piece.chunks:
            self.add(len(chunk))
            file.write(chunk)
        if piece.total is None or file.tell() == piece.total:
            return
        why = f"{file.tell()} bytes came of {piece.total}"
        if file.tell() > piece.total:
            self._go_back(file, 0)
        raise Interrupted(why)

    def _go_back(self, file: BinaryIO, offset: int) -> None:
        """Forget what was written after ``offset``."""
        self.budget.bytes -= file.tell() - offset
        file.seek(offset)
        file.truncate()

    def _pause(self, failures: int) -> float:
        return min(self.patience.longest, self.patience.first * 2.0 ** (failures - 1))

    def _wait(self, name: str, why: str, seconds: float, at: int) -> None:
        left = float("inf") if self.deadline is None else self.deadline - time.monotonic()
        if seconds > left:
            raise DownloadFailed(
                f"{shown(name)} cannot be downloaded within the load timeout: {why}"
            )
        _log.warning("download interrupted", file=name, reason=why, bytes=at, retry_in=seconds)
        time.sleep(seconds)

    def _tell(self) -> None:
        now, done = time.monotonic(), self.budget.bytes
        share = (done - self._told_bytes) / self.total if self.total else 0.0
        if now - self._told_at < _LOG_SECONDS and share < _LOG_SHARE:
            return
        self._told_at, self._told_bytes = now, done
        _log.info(
            "downloading",
            bytes=done,
            total=self.total,
            bytes_per_second=round(done / max(now - self._started, 1e-3)),
        )


def not_written(error: OSError) -> DownloadFailed:
    """What a failed write means to whoever runs the server."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadFailed(
            "the disk is full: the server's temporary folder is too small for the model"
        )
    return DownloadFailed(f"the model cannot be written: {error.strerror or type(error).__name__}")
