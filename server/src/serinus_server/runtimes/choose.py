"""Which runtime serves a model: the fastest that is proved to answer as ``mlflow.pyfunc`` does."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

import structlog

from serinus_server.runtimes.base import Runtime
from serinus_server.runtimes.fast import FastRuntime, Hints
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.runtimes.parity import (
    Trial,
    gives_numbers,
    has_exact_parts,
    is_row_wise,
    largest,
    seconds_for,
)
from serinus_server.runtimes.questions import Question, cut, questions
from serinus_server.telemetry.stopwatch import Stopwatch

QUICK = 0.0003  # seconds for a full batch that are not worth a thread
_GAIN = 0.9  # a fast runtime takes at most this part of the reference's time

_log = structlog.stdlib.get_logger(__name__)

# The module with the fast runtimes of each flavor, imported only for a model of that flavor. These
# are also the flavors whose models work row by row as a rule, which is then proved.
_LIBRARIES = {
    "sklearn": "serinus_server.runtimes.sklearn",
    "xgboost": "serinus_server.runtimes.xgboost",
    "lightgbm": "serinus_server.runtimes.lightgbm",
    "onnx": "serinus_server.runtimes.onnx",
    "pytorch": "serinus_server.runtimes.pytorch",
    "tensorflow": "serinus_server.runtimes.tensorflow",
    "keras": "serinus_server.runtimes.tensorflow",
}


class Library(Protocol):
    """What a module with the fast runtimes of one flavor has.

    It may also have ``prepare(reference) -> str | None``, which is called first: it makes the
    reference's answers the same on each call, or says why generated inputs are not for this model,
    for example because it has steps that nobody knows.
    """

    def candidates(self, reference: PyFuncRuntime) -> Iterator[FastRuntime]:
        """Fast runtimes for the model, the best first; none if the model is of an unknown kind.

        Each is made when it is its turn to be tried.
        """

    def hints(self, reference: PyFuncRuntime) -> Hints:
        """Inputs that are worth trying."""


def choose(
    reference: PyFuncRuntime,
    example: Any = None,
    *,
    seconds: float = 0.4,
    library: Library | None = None,
) -> Runtime:
    """The fastest runtime with the answers of ``reference``, or ``reference`` itself.

    ``example`` is an input as `Runtime.predict` takes it: the one that was logged with the model.
    ``seconds`` bounds the asking of the reference; holding candidates against it takes little
    more. ``library`` is the module to ask for fast runtimes; by default, that of the flavor. Never
    fails: whatever goes wrong, the reference serves.
    """
    watch = Stopwatch.start()
    try:
        runtime, reason, asked = _choose(reference, example, seconds, library)
    except Exception as error:  # noqa: BLE001 - a fast path is never worth a failed start
        runtime, reason, asked = reference, f"{type(error).__name__}: {error}"[:200], 0
    _log.info(
        "runtime chosen",
        runtime=runtime.name,
        why=reason,
        row_wise=runtime.row_wise,
        quick_rows=runtime.quick_rows,
        questions=asked,
        seconds=round(watch.seconds, 3),
    )
    return runtime


def _choose(
    reference: PyFuncRuntime, example: Any, seconds: float, library: Library | None
) -> tuple[Runtime, str, int]:
    library = library or _library(reference.flavor)
    if library is None:
        return reference, f"there are no fast runtimes for models of {reference.flavor}", 0
    if refusal := getattr(library, "prepare", _nothing)(reference):
        return reference, refusal, 0
    hints = _hints(library, reference)
    asking = questions(reference.signature, example, hints)
    trial = Trial.of(reference, asking, seconds, hints.patience)
    if not trial.enough:
        return reference, "too few generated questions have an answer, or it is too slow", 0
    batches = trial.batches()
    reasons = []
    for candidate in _candidates(library, reference):
        reason = trial.difference(candidate) or _no_gain(candidate, reference, batches)
        if reason is None:
            if candidate.predict_parts is None:
                candidate.row_wise = is_row_wise(candidate, batches)
            elif not has_exact_parts(candidate, batches):
                candidate.predict_parts = None
            candidate.quick_rows = _quick_rows(candidate, batches)
            return candidate, "equal to pyfunc", len(trial.asked)
        reasons.append(f"{candidate.name}: {reason}")
    reference.row_wise = gives_numbers(trial) and is_row_wise(reference, batches)
    reference.quick_rows = _quick_rows(reference, batches)
    return reference, "; ".join(reasons) or "no fast runtime for this model", len(trial.asked)


def _library(flavor: str) -> Library | None:
    module = _LIBRARIES.get(flavor)
    return None if module is None else cast("Library", importlib.import_module(module))


def _nothing(_: PyFuncRuntime) -> str | None:
    return None


def _hints(library: Library, reference: PyFuncRuntime) -> Hints:
    try:
        return library.hints(reference)
    except Exception as error:  # noqa: BLE001 - the questions are fewer then
        _log.info("no hints", why=f"{type(error).__name__}: {error}"[:200])
        return Hints()


def _candidates(library: Library, reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """The library's candidates, up to the first that cannot even be made."""
    try:
        yield from library.candidates(reference)
    except Exception as error:  # noqa: BLE001 - not this one
        _log.info("no fast runtime", why=f"{type(error).__name__}: {error}"[:200])


def _no_gain(
    candidate: FastRuntime, reference: PyFuncRuntime, batches: Sequence[Question]
) -> str | None:
    """Why ``candidate`` is not worth it; None if it is faster for one row, and not slower for many.

    Measured in turns, because another process may slow down either.
    """
    full = largest(batches)
    if full is None:
        return "it answers no batch"
    single = Question("", cut(full.model_input, 0, 1), 1)
    for question, gain in ((single, _GAIN), (full, 1.0)):
        fast = slow = float("inf")
        for _ in range(3):
            fast = min(fast, seconds_for(candidate, question, 2))
            slow = min(slow, seconds_for(reference, question, 1))
        if fast > gain * slow:
            return f"no faster for {question.rows} rows"
    return None


def _quick_rows(runtime: Runtime, batches: Sequence[Question]) -> int:
    """The rows of the largest batch that was quick once: the other times of a busy machine say nothing."""
    full = largest(batches)
    if full is None:
        return 0
    rows = full.rows
    while rows:
        part = full if rows == full.rows else Question("", cut(full.model_input, 0, rows), rows)
        if any(seconds_for(runtime, part) < QUICK for _ in range(4)):
            return rows
        rows //= 2
    return 0
