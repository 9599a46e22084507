"""The model that is served: a runtime behind its input plan, asked for one request or for many."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from serinus_server.errors import InvalidInput, PredictionFailed, RequestError
from serinus_server.runtimes.base import InputRefused, Runtime
from serinus_server.service.batching import may_batch, merge, split
from serinus_server.service.payload import Payload, Prediction, row_count
from serinus_server.service.plan import plan_for

_log = structlog.stdlib.get_logger(__name__)

Outcome: TypeAlias = Prediction | RequestError

_MOST_PLACES = 100  # of errors that are remembered as logged with their stack
_LONGEST_REASON = 500  # characters of an error's message in the log


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: the model's name and version, and the revision of its server."""

    model: str
    version: str
    revision: str


class ServedModel:
    """Answers payloads. Called from worker threads, several at once.

    ``observe_rows`` is told the rows of every call that the model answered.
    """

    def __init__(
        self, runtime: Runtime, identity: Identity, observe_rows: Callable[[int], None]
    ) -> None:
        self.runtime = runtime
        self.identity = identity
        self.signature = runtime.signature
        # Whether several requests may be asked in one call.
        self.batches = may_batch(runtime.signature) and (
            runtime.row_wise or runtime.predict_parts is not None
        )
        self._plan = plan_for(runtime.signature)
        self._observe_rows = observe_rows
        self._told: set[tuple[str, int]] = set()

    def predict(self, payload: Payload, params: Mapping[str, Any] | None = None) -> Prediction:
        """The model's answer to ``payload``.

        Raises:
            InvalidInput: the payload or the params do not fit the signature.
            PredictionFailed: the model raised; the log has the reason under the error's id.
        """
        model_input, rows = self.bind(payload, params)
        return self.ask(model_input, rows, params)

    def bind(self, payload: Payload, params: Mapping[str, Any] | None = None) -> tuple[Any, int]:
        """The model's input that ``payload`` means, and its number of rows.

        Raises:
            InvalidInput: the payload or the params do not fit the signature.
        """
        for name in params or ():
            if name not in self.signature.params:
                raise InvalidInput("is no parameter of this model", field=name)
        model_input = self._plan.bind(payload)
        rows = row_count(model_input)
        if rows == 0:
            raise InvalidInput("there are no rows")
        return model_input, rows

    def ask(self, model_input: Any, rows: int, params: Mapping[str, Any] | None) -> Prediction:
        """The answer to an input that ``bind`` made.

        Raises:
            InvalidInput, PredictionFailed: as ``predict``.
        """
        try:
            values = self.runtime.predict(model_input, params)
        except InputRefused as refused:
            raise InvalidInput(str(refused)) from refused
        except Exception as error:
            raise PredictionFailed(self._tell(error, rows)) from error
        self._observe_rows(rows)
        return Prediction(values, rows)

    def ask_alone(self, model_input: Any, rows: int, params: Mapping[str, Any] | None) -> Outcome:
        """As ``ask``, but errors are returned."""
        try:
            return self.ask(model_input, rows, params)
        except RequestError as error:
            return error

    def ask_together(self, inputs: Sequence[Any], rows: Sequence[int]) -> list[Outcome]:
        """The answers to inputs with one ``batching.key_of``, by one call of the model.

        When it fails, each half is asked by itself, and so on: one bad input among 64 fails alone
        after 13 calls. For models whose answers are not one per row, this ends batching.
        """
        if len(inputs) == 1:
            return [self.ask_alone(inputs[0], rows[0], None)]
        try:
            values = self._predict_merged(merge(inputs), rows)
        except Exception as error:  # noqa: BLE001 - whatever the model raises; it is told below
            _log.debug("a batch failed", inputs=len(inputs), error=type(error).__name__)
            middle = len(inputs) // 2
            return [
                *self.ask_together(inputs[:middle], rows[:middle]),
                *self.ask_together(inputs[middle:], rows[middle:]),
            ]
        parts = split(values, rows)
        if parts is None:
            self.batches = False
            _log.warning("no more batches: the model's answers are not one per row")
            return [
                self.ask_alone(one, count, None) for one, count in zip(inputs, rows, strict=True)
            ]
        self._observe_rows(sum(rows))
        return [Prediction(part, count) for part, count in zip(parts, rows, strict=True)]

    def _predict_merged(self, merged: Any, rows: Sequence[int]) -> Any:
        runtime = self.runtime
        if runtime.row_wise or runtime.predict_parts is None:
            return runtime.predict(merged, None)
        return runtime.predict_parts(merged, rows)

    def _tell(self, error: Exception, rows: int) -> str:
        """Log ``error`` and return its id; with its stack once for each place it comes from."""
        error_id = secrets.token_hex(6)
        place = _place(error)
        first = place not in self._told
        if first and len(self._told) < _MOST_PLACES:
            self._told.add(place)
        _log.error(
            "prediction failed",
            error_id=error_id,
            rows=rows,
            error=f"{type(error).__name__}: {error}"[:_LONGEST_REASON],
            exc_info=error if first else None,
        )
        return error_id


def _place(error: Exception) -> tuple[str, int]:
    """Where ``error`` was raised: file and line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return ("", 0) if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
