"""A model that is served, the questions to it, and the answers that are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGE = 32  # rows of a large request


@dataclass(frozen=True, slots=True)
class Question:
    """Rows, and what ``mlflow.pyfunc`` answers to them."""

    rows: Sequence[Sequence[Any]]
    answer: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Model:
    """A model and the questions to it, with one row each and with ``LARGE`` rows each.

    ``columns`` are the names in its signature; empty: it takes one array of numbers.
    """

    name: str
    folder: Path
    columns: Sequence[str]
    single: Sequence[Question]
    large: Sequence[Question]

    @property
    def joblib_file(self) -> Path:
        return self.folder.with_suffix(".joblib")
