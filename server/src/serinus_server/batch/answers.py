"""Asks the model for the rows of a chunk, in as few calls as give every row its exact answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serinus_server.batch.chunk import Chunk, Column
from serinus_server.batch.errors import RunFailed
from serinus_server.batch.predictions import columns_of, output_names
from serinus_server.errors import InvalidInput, RequestError
from serinus_server.service.batching import may_batch
from serinus_server.service.model import ServedModel

MOST_BAD = 1000  # rows without an answer at the begin of a run, after which it is no use
_LONGEST_REASON = 500  # characters

# How rows are asked.
CHUNK = "chunk"  # in one call, which is for them what one request is
EACH = "each"  # so that each row has the answer that it has alone


@dataclass(slots=True)
class Answered:
    """The answers to a chunk: ``columns`` with one value for each of ``places``.

    ``places`` are the answered rows' numbers in the chunk, in order; ``bad`` has the others, with
    the reason. ``columns`` is None where no row was answered.
    """

    places: list[int]
    columns: list[Column] | None
    bad: dict[int, str] = field(default_factory=dict)


class Asker:
    """Asks ``model`` in the way ``how``, CHUNK or EACH; by default the one that is best for it.

    A call that fails is asked again in halves, and so on, so that a bad row fails alone.
    """

    def __init__(
        self, model: ServedModel, params: Mapping[str, Any] | None = None, how: str = ""
    ) -> None:
        self.how = how or _best_way(model, params)
        self._model = model
        self._params = params or None
        self._names = output_names(model.signature)
        self._answered_any = False

    def ask(self, chunk: Chunk) -> Answered:
        """The answers to all rows of ``chunk``.

        Raises:
            RunFailed: none of the first MOST_BAD rows of a run has an answer, or the answers have
                other columns than those before them.
        """
        good = chunk.good
        call = _Call(self, chunk, good)
        if good:
            call.ask(0, len(good))
        if call.pieces:
            self._answered_any = True
        else:
            self.give_up_if_hopeless(call.bad)
        return Answered(call.places, _join(call.pieces), dict(sorted(call.bad.items())))

    def give_up_if_hopeless(self, bad: Mapping[int, str]) -> None:
        """Raise RunFailed when so many rows have failed and none was answered."""
        if not self._answered_any and len(bad) >= MOST_BAD:
            first = min(bad)
            raise RunFailed(
                f"none of the first {len(bad)} rows could be answered; row {first}: {bad[first]}"
            )

    def resumed(self) -> None:
        """There have been answers before this process."""
        self._answered_any = True

    def predict(self, model_input: Any, rows: int) -> Any:
        """The model's own answer to an input of ``rows`` rows; None if it takes them only alone."""
        runtime = self._model.runtime
        if rows == 1 or self.how == CHUNK or (runtime.row_wise and not self._params):
            return runtime.predict(model_input, self._params)
        if runtime.predict_parts is None or self._params or not may_batch(self._model.signature):
            return None
        return runtime.predict_parts(model_input, [1] * rows)

    def columns(self, chunk: Chunk, start: int, stop: int) -> list[Column] | None:
        """The answers to the readable rows from ``start`` to ``stop``; None: not one for each row."""
        model_input, _ = self._model.bind(chunk.payload(start, stop), self._params)
        values = self.predict(model_input, stop - start)
        return None if values is None else columns_of(values, stop - start, self._names)


def _best_way(model: ServedModel, params: Mapping[str, Any] | None) -> str:
    """EACH where it costs no more than CHUNK, or where the model takes rows only one by one.

    For row-wise models both give the same.
    """
    if not may_batch(model.signature):
        return EACH
    runtime = model.runtime
    return CHUNK if runtime.row_wise or runtime.predict_parts is None or params else EACH


class _Call:
    """One chunk's way through the model."""

    def __init__(self, asker: Asker, chunk: Chunk, good: list[int]) -> None:
        self.asker = asker
        self.chunk = chunk
        self.good = good
        self.bad = dict(chunk.bad)
        self.places: list[int] = []
        self.pieces: list[list[Column]] = []

    def ask(self, start: int, stop: int) -> None:
        """Ask for the readable rows from ``start`` to ``stop``, or for each half of them."""
        try:
            columns = self.asker.columns(self.chunk, start, stop)
        except Exception as error:  # noqa: BLE001 - whatever the model raises costs only its row
            if stop - start == 1:
                self._refuse(start, _reason(error))
                return
        else:
            if columns is not None:
                self.pieces.append(columns)
                self.places += self.good[start:stop]
                return
            if stop - start == 1:
                self._refuse(start, "the model's answer is not one for the row")
                return
            self.asker.how = EACH  # the answers are not one per row, so that only single rows help
            for row in range(start, stop):
                self.ask(row, row + 1)
            return
        middle = (start + stop) // 2
        self.ask(start, middle)
        self.ask(middle, stop)

    def _refuse(self, row: int, reason: str) -> None:
        self.bad[self.good[row]] = reason
        if not self.pieces:
            self.asker.give_up_if_hopeless(self.bad)


def _reason(error: Exception) -> str:
    """Why one row alone has no answer."""
    if isinstance(error, InvalidInput):
        return error.message if error.field is None else f"input {error.field!r}: {error.message}"
    if isinstance(error, RequestError) or type(error).__name__ == "InputRefused":
        return str(error)[:_LONGEST_REASON]
    message = " ".join(str(error).split())[:_LONGEST_REASON]
    return f"the model raised {type(error).__name__}: {message}".removesuffix(": ")


def _join(pieces: list[list[Column]]) -> list[Column] | None:
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    names = [column.name for column in pieces[0]]
    for piece in pieces:
        require_names(names, [column.name for column in piece])
    return [
        Column(name, _concatenated([piece[index].values for piece in pieces]))
        for index, name in enumerate(names)
    ]


def require_names(names: list[str], found: list[str]) -> None:
    """Raise RunFailed when answers have other columns than those before them."""
    if found != names:
        raise RunFailed(
            f"the model's answers changed their columns from {', '.join(names)} "
            f"to {', '.join(found)}"
        )


def _concatenated(parts: list[Any]) -> Any:
    if all(isinstance(part, np.ndarray) and part.dtype == parts[0].dtype for part in parts):
        return np.concatenate(parts)
    return [
        value
        for part in parts
        for value in (part.tolist() if isinstance(part, np.ndarray) else part)
    ]
