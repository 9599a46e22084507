"""Text files record by record: where each begins and ends, without reading what is in it.

A record is a line, but a quoted value of CSV may hold line ends. Empty lines are no records.
"""

from __future__ import annotations

import gzip
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from serinus_server.batch.chunk import Position
from serinus_server.batch.errors import RunFailed
from serinus_server.batch.formats import STREAM

_BLOCK = 1024 * 1024  # bytes that are read at once, at least
MOST_BYTES = 16 * 1024 * 1024  # of a chunk, beyond which it has fewer rows
LONGEST = 16 * 1024 * 1024  # bytes of one record
_BOM = b"\xef\xbb\xbf"
_NEWLINE, _RETURN = b"\n\r"

# A quoted value stands where a value may begin; a doubled quote in it is a quote.
_QUOTED = re.compile(rb'(?<![^,\n\r])"[^"]*(?:""[^"]*)*("|\Z)')


@dataclass(frozen=True, slots=True)
class Lines:
    """Some records, one after the other in ``data``, perhaps with empty lines between them."""

    data: bytes
    starts: list[int]  # of the records, in data
    ends: list[int]  # with their line ends
    numbers: list[int]  # 1-based lines of the file that they begin in
    after: Position  # where the next begins; its `rows` counts records

    def text(self, index: int) -> bytes:
        """One record, without its line end."""
        return self.data[self.starts[index] : self.ends[index]].rstrip(b"\r\n")


class Source(Protocol):
    """Bytes of text, from any offset on."""

    def read(self, count: int) -> bytes:
        """The next bytes, at most ``count``; empty at the end."""

    def skip(self, offset: int) -> None:
        """Go on at ``offset``; called before the first read."""


class TextFile:
    """A plain or compressed file, or standard input, from any offset of its text on."""

    def __init__(self, name: str, codec: str) -> None:
        """Open it.

        Raises:
            RunFailed: it cannot be read.
        """
        self._size = 0
        try:
            if name == STREAM:
                self._raw: IO[bytes] = sys.stdin.buffer
            else:
                self._raw = Path(name).open("rb")  # noqa: SIM115 - closed by close()
                self._size = Path(name).stat().st_size
        except OSError as error:
            raise RunFailed(f"{name} cannot be read: {error.strerror}") from None
        self._name = name
        self._codec = codec
        self._file: Any = self._open()

    def _open(self) -> Any:
        if self._codec == "gzip":
            return gzip.open(self._raw)
        if self._codec == "zstd":
            import pyarrow as pa

            return pa.CompressedInputStream(self._raw, "zstd")
        return self._raw

    def read(self, count: int) -> bytes:
        """The next bytes, at most ``count``; empty at the end."""
        try:
            data: bytes = self._file.read(count)
        except (OSError, EOFError) as error:
            raise RunFailed(f"{self._name} cannot be read: {error}") from None
        return data

    def skip(self, offset: int) -> None:
        """Go on at ``offset``; called before the first read."""
        if not self._codec and self._name != STREAM:
            self._raw.seek(offset)
            return
        while offset > 0:
            data = self.read(min(offset, _BLOCK))
            if not data:
                raise RunFailed(f"{self._name} is shorter than it was")
            offset -= len(data)

    def done(self) -> float | None:
        """Which part of the file's bytes was read."""
        return min(1.0, self._raw.tell() / self._size) if self._size else None

    def close(self) -> None:
        if self._name != STREAM:
            self._raw.close()


class Records:
    """The records of ``file`` after a position, taken some at a time.

    With ``quotes``, line ends within quoted values end no record. ``block`` bytes or more are read
    at once; the records do not depend on it.
    """

    def __init__(self, file: Source, after: Position, *, quotes: bool, block: int = _BLOCK) -> None:
        file.skip(after.offset)
        self._file = file
        self._after = after
        self._quotes = quotes
        self._block = block
        self._at_end = False
        self._buffer = b""  # begins at the offset of `after`
        self._found = _Found.none()

    def take(self, rows: int) -> Lines | None:
        """The next ``rows`` records; fewer at the end, or beyond MOST_BYTES; None if there are none.

        How many depends on nothing but the file and where the last ones ended.

        Raises:
            RunFailed: a record is longer than LONGEST, or the file cannot be read.
        """
        while not self._at_end and not self._found.has(rows):
            self._fill()
        found = self._found
        count = min(rows, len(found.starts), found.within(MOST_BYTES))
        if count == 0:
            return None
        begin, end = int(found.starts[0]), int(found.ends[count - 1])
        lines = self._after.lines + found.lines[:count] + 1
        after = Position(
            self._after.rows + count,
            self._after.lines + int(found.lines_after[count - 1]),
            self._after.offset + end,
        )
        taken = Lines(
            self._buffer[begin:end],
            (found.starts[:count] - begin).tolist(),
            (found.ends[:count] - begin).tolist(),
            lines.tolist(),
            after,
        )
        self._found = found.rest(count)
        # The places found are in the buffer; it is cut when it is filled, which moves them anyway.
        self._found.shift(end, after.lines - self._after.lines)
        self._buffer = self._buffer[end:]
        self._after = after
        return taken

    def _fill(self) -> None:
        if len(self._buffer) > 2 * LONGEST and not len(self._found.starts):
            raise RunFailed(f"line {self._after.lines + 1} is longer than {LONGEST} bytes")
        block = self._file.read(max(self._block, len(self._buffer)))
        self._at_end = not block
        if self._after.offset == 0 and not self._buffer and block.startswith(_BOM):
            block = block[len(_BOM) :]
            self._after = Position(0, 0, len(_BOM))
        self._buffer += block
        ends = _record_ends(self._buffer, quotes=self._quotes, at_end=self._at_end)
        self._found = _Found.of(self._buffer, ends)


@dataclass(slots=True)
class _Found:
    """The records that are whole in a buffer: where they are, and after how many lines of it."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    lines_after: npt.NDArray[np.int64]

    @staticmethod
    def none() -> _Found:
        nothing = np.empty(0, np.int64)
        return _Found(nothing, nothing, nothing, nothing)

    @staticmethod
    def of(buffer: bytes, ends: npt.NDArray[np.int64]) -> _Found:
        """The records that end at ``ends``, but for empty lines."""
        if not len(ends):
            return _Found.none()
        content = np.frombuffer(buffer, np.uint8)
        starts = np.concatenate(([0], ends[:-1]))
        newlines = np.flatnonzero(content == _NEWLINE)
        after = np.searchsorted(newlines, ends)
        before = np.concatenate(([0], after[:-1]))
        sizes = ends - starts
        empty = (sizes <= 2) & np.isin(content[starts], (_NEWLINE, _RETURN))
        empty &= np.isin(content[ends - 1], (_NEWLINE, _RETURN))
        keep = ~empty
        return _Found(starts[keep], ends[keep], before[keep], after[keep])

    def has(self, rows: int) -> bool:
        """Whether there are enough for ``rows``, or for MOST_BYTES."""
        return len(self.starts) >= rows or self.within(MOST_BYTES) < len(self.starts)

    def within(self, most: int) -> int:
        """How many records are within ``most`` bytes; one at least, where there is any."""
        if not len(self.starts):
            return 0
        return max(1, int(np.searchsorted(self.ends, self.starts[0] + most, "right")))

    def rest(self, count: int) -> _Found:
        return _Found(
            self.starts[count:], self.ends[count:], self.lines[count:], self.lines_after[count:]
        )

    def shift(self, places: int, lines: int) -> None:
        """Count from ``places`` bytes and ``lines`` lines later on."""
        self.starts = self.starts - places
        self.ends = self.ends - places
        self.lines = self.lines - lines
        self.lines_after = self.lines_after - lines


def is_open(record: bytes) -> bool:
    """Whether a quote is opened in ``record`` and never closed."""
    return any(not match[1] for match in _QUOTED.finditer(record))


def _record_ends(buffer: bytes, *, quotes: bool, at_end: bool) -> npt.NDArray[np.int64]:
    """Where records end in ``buffer``, after their line ends; at the end of the file, also its end."""
    ends = np.flatnonzero(np.frombuffer(buffer, np.uint8) == _NEWLINE) + 1
    if quotes and b'"' in buffer:
        ends = _outside(ends, _quoted_spans(buffer, at_end=at_end))
    if at_end and len(buffer) and (not len(ends) or ends[-1] < len(buffer)):
        ends = np.append(ends, len(buffer))
    return ends


def _outside(ends: npt.NDArray[np.int64], spans: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Those ``ends`` that are in none of ``spans``, which are in order."""
    if not spans:
        return ends
    begins, stops = np.array(spans).T
    span = np.searchsorted(begins, ends - 1, "right") - 1
    outside: npt.NDArray[np.bool_] = (span < 0) | (ends - 1 >= stops[span])
    return ends[outside]


def _quoted_spans(buffer: bytes, *, at_end: bool) -> list[tuple[int, int]]:
    """The quoted values of ``buffer`` that hold line ends, and the one that is not closed in it.

    A quote that is not closed within LONGEST quotes nothing: its record ends with its line.
    """
    spans = []
    place = 0
    while (match := _QUOTED.search(buffer, place)) is not None:
        begin, place = match.span()
        if place - begin > LONGEST or (at_end and not match[1]):
            line_end = buffer.find(b"\n", begin)
            place = len(buffer) if line_end < 0 else line_end + 1
        elif not match[1] or buffer.find(b"\n", begin, place) >= 0:
            spans.append((begin, place))
    return spans
