"""What writers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from serinus_server.batch.chunk import Column


@dataclass(frozen=True, slots=True)
class Block:
    """Rows for the output: kept columns or records, with a value for each row, then the answers.

    ``places`` are the rows that ``predicted`` has values for; the others' are null.
    """

    rows: int
    places: Sequence[int]
    kept: Sequence[Column]
    predicted: Sequence[Column]
    records: Sequence[Mapping[str, Any]] | None = None
    record_names: Sequence[str] = ()  # which of the records' values have columns

    @property
    def columns(self) -> list[Column]:
        """All columns of an output that has such; kept ones are whole, the last are ``predicted``."""
        records = [
            Column(name, [record.get(name) for record in self.records or ()])
            for name in self.record_names
        ]
        return [*self.kept, *records, *self.predicted]

    @property
    def whole(self) -> bool:
        """Whether every row has an answer."""
        return len(self.places) == self.rows

    def spread(self, values: list[Any], empty: Any = None) -> list[Any]:
        """``values``, one for each of ``places``, with ``empty`` for the rows between."""
        if self.whole:
            return values
        spread = [empty] * self.rows
        for place, value in zip(self.places, values, strict=True):
            spread[place] = value
        return spread


class Writer(Protocol):
    """Makes the bytes of one output. What it answers is appended in the order of the calls."""

    def begin(self, block: Block) -> bytes:
        """What comes before the rows; ``block`` is the first, and says which columns there are."""

    def write(self, block: Block) -> bytes:
        """The bytes of some rows.

        Raises:
            RunFailed: the rows do not fit the columns so far.
        """

    def finish(self, part: Path) -> Path:
        """The whole output, made of all bytes in ``part``: that file itself, or another beside it."""


def listed(values: Any) -> list[Any]:
    """A column's values as Python's; float32 becomes the double of the same value."""
    if isinstance(values, np.ndarray):
        found: list[Any] = values.tolist()
        return found
    return values if isinstance(values, list) else list(values.to_pylist())
