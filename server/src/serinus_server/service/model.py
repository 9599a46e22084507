"""The model that is served: a runtime behind its input plan."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from serinus_server.errors import InvalidInput, PredictionFailed
from serinus_server.runtimes.base import InputRefused, Runtime
from serinus_server.service.payload import Payload, Prediction, row_count
from serinus_server.service.plan import plan_for

_log = structlog.stdlib.get_logger(__name__)

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
        self._plan = plan_for(runtime.signature)
        self._observe_rows = observe_rows
        self._told: set[tuple[str, int]] = set()

    def predict(self, payload: Payload, params: Mapping[str, Any] | None = None) -> Prediction:
        """The model's answer to ``payload``.

        Raises:
            InvalidInput: the payload or the params do not fit the signature.
            PredictionFailed: the model raised; the log has the reason under the error's id.
        """
        for name in params or ():
            if name not in self.signature.params:
                raise InvalidInput("is no parameter of this model", field=name)
        model_input = self._plan.bind(payload)
        rows = row_count(model_input)
        if rows == 0:
            raise InvalidInput("there are no rows")
        try:
            values = self.runtime.predict(model_input, params)
        except InputRefused as refused:
            raise InvalidInput(str(refused)) from refused
        except Exception as error:
            raise PredictionFailed(self._tell(error, rows)) from error
        self._observe_rows(rows)
        return Prediction(values, rows)

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
