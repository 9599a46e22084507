"""Some rows of the input on their way through a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serinus_server.service.payload import Payload


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run has read: all the rows before it are done.

    ``offset`` is in bytes of the text, after decompression; ``lines`` counts its lines. Both are 0
    for Parquet, where ``rows`` says it all.
    """

    rows: int = 0
    lines: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """One column of answers or of kept input: a list, a NumPy array, or a pyarrow array."""

    name: str
    values: Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """``rows`` rows of the input, of which some may be unreadable.

    ``bad`` says why, by the row's number in the chunk. ``payload(start, stop)`` makes the model's
    input of the readable rows, counted among themselves. ``kept`` are the columns that go to the
    output, or the whole records in ``records`` where the input is JSON; both have every row.
    ``line`` and ``raw`` find the row in the input: its 1-based line, and how it looks there.
    """

    rows: int
    after: Position
    payload: Callable[[int, int], Payload]
    line: Callable[[int], int | None]
    raw: Callable[[int], Any]
    bad: Mapping[int, str] = field(default_factory=dict)
    kept: Sequence[Column] = ()
    records: Sequence[Mapping[str, Any]] | None = None

    @property
    def good(self) -> list[int]:
        """The readable rows' numbers in the chunk."""
        if not self.bad:
            return list(range(self.rows))
        return [row for row in range(self.rows) if row not in self.bad]
