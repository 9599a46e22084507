"""The proof that a fast runtime answers as ``mlflow.pyfunc`` does, to the last bit.

The reference is asked once for every question, within a bounded time; then any number of
candidates are held against its answers. A proof by trial cannot show that no difference exists,
so candidates only do what is equal by construction, and this finds out where that is an error:
another version of a library, another processor, a model of an unexpected kind.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from serinus_server.runtimes.base import Runtime, Table
from serinus_server.runtimes.questions import USUAL, Question, count_rows, cut
from serinus_server.telemetry.stopwatch import Stopwatch

_FEWEST = 20  # questions without which nothing is proved
_MOST = 120
_PATIENCE = 15  # times the seconds that are given, until the fewest questions are answered


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what the reference made of it: its answer, or the type of its error."""

    question: Question
    answer: Any
    error: type[BaseException] | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What the reference answered to all questions, and the seconds that it took."""

    asked: tuple[Asked, ...]
    seconds: float

    @classmethod
    def of(
        cls,
        reference: Runtime,
        questions: Iterable[Question],
        seconds: float = 0.4,
        patience: float = 0.0,
    ) -> Trial:
        """Ask ``reference`` until ``seconds`` are over, or longer for the first ones.

        For these it gets ``patience``, and never less than a little more than ``seconds``.
        """
        patience = max(patience, seconds * _PATIENCE)
        watch = Stopwatch.start()
        asked: list[Asked] = []
        with quiet():
            for question in questions:
                asked.append(_ask(reference, question))
                enough = len(asked) >= _FEWEST
                if watch.seconds > (seconds if enough else patience) or len(asked) >= _MOST:
                    break
        return cls(tuple(asked), watch.seconds)

    @property
    def enough(self) -> bool:
        """Whether equal answers prove anything: enough questions, enough of them answered."""
        answered = sum(each.error is None for each in self.asked)
        many = any(each.question.rows > 1 and each.error is None for each in self.asked)
        return len(self.asked) >= _FEWEST and answered >= _FEWEST // 2 and many

    def difference(self, candidate: Runtime) -> str | None:
        """Where ``candidate`` differs from the reference; None if nowhere."""
        kept: list[tuple[Asked, Any]] = []
        with quiet():
            for each in self.asked:
                before = _copy(each.question.model_input)
                got = _ask(candidate, each.question)
                about = f"{each.question.about}, {each.question.rows} rows"
                if got.error is not each.error:
                    return f"{about}: {_error(got.error)} instead of {_error(each.error)}"
                if each.error is None and (what := unequal(got.answer, each.answer)):
                    return f"{about}: {what}"
                if unequal(_plain(before), _plain(each.question.model_input)):
                    return f"{about}: it changed its input"
                kept.append((each, got.answer))
        # An answer that shares memory with the next one has changed by now.
        for each, answer in kept:
            if each.error is None and unequal(answer, each.answer):
                return "answers change after they were given"
        return None

    def batches(self) -> list[Question]:
        """The questions of several rows that the reference answers, with as many rows.

        Without arrays in unusual orders of memory, which no request has: rows that are cut out
        of them are not what these rows are alone.
        """
        return [
            each.question
            for each in self.asked
            if each.error is None
            and each.question.rows > 1
            and _rows_of(each.answer) == each.question.rows
            and _in_usual_order(each.question.model_input)
        ]


def gives_numbers(trial: Trial) -> bool:
    """Whether the answers are floating-point numbers, in which a difference of rows would show.

    Labels hide it: they differ for the one row in a million whose score is nearly a tie.
    """
    answers = (each.answer for each in trial.asked if each.error is None)
    return all(getattr(getattr(answer, "dtype", None), "kind", "") == "f" for answer in answers)


def is_row_wise(runtime: Runtime, batches: Sequence[Question], seconds: float = 0.2) -> bool:
    """Whether ``runtime`` answers the rows of ``batches`` alike alone, in parts and together.

    Takes the largest first, as many as there is time for, and never less than two of them.
    """
    watch = Stopwatch.start()
    proved = 0
    with quiet():
        for question in sorted(batches, key=lambda batch: -batch.rows):
            whole = runtime.predict(question.model_input, None)
            for start, stop in _parts(question.rows):
                part = _ask(runtime, Question("", cut(question.model_input, start, stop), 0))
                want = _renumbered(cut(whole, start, stop))
                if part.error is not None or unequal(_renumbered(part.answer), want):
                    return False
                if watch.seconds > seconds * _PATIENCE:
                    return proved > 0
            proved += 1
            if watch.seconds > seconds and proved >= 2:
                break
    return proved > 0


def has_exact_parts(runtime: Runtime, batches: Sequence[Question], seconds: float = 0.2) -> bool:
    """Whether ``runtime.predict_parts`` answers as ``predict`` does to each part alone.

    It may raise, which costs time only: the parts are asked one by one then.
    """
    ask = runtime.predict_parts
    if ask is None or not batches:
        return False
    watch = Stopwatch.start()
    proved = 0
    with quiet():
        for number, question in enumerate(sorted(batches, key=lambda batch: -batch.rows)):
            sizes = [1] * question.rows if number % 2 == 0 else _sizes(question.rows)
            try:
                together = ask(question.model_input, sizes)
            except Exception:  # noqa: BLE001, S112 - each request is asked alone then
                continue
            start = 0
            for size in sizes:
                alone = runtime.predict(cut(question.model_input, start, start + size), None)
                want = _renumbered(cut(together, start, start + size))
                if unequal(_renumbered(alone), want):
                    return False
                start += size
            proved += 1
            if watch.seconds > seconds and proved >= 3:
                break
    return proved > 0


def unequal(got: Any, want: Any) -> str | None:
    """What differs between two answers, in type, dtype, shape, names or bits; None if nothing.

    NaN equals NaN whatever its payload, which no protocol transports. -0.0 differs from 0.0.
    """
    if type(got) is not type(want):
        return f"a {type(got).__name__} instead of a {type(want).__name__}"
    if isinstance(want, np.ndarray):
        return _unequal_arrays(got, want)
    if isinstance(want, Mapping):
        if list(got) != list(want):
            return "other names"
        return next(filter(None, (unequal(got[name], want[name]) for name in want)), None)
    if isinstance(want, (list, tuple)):
        if len(got) != len(want):
            return f"{len(got)} items instead of {len(want)}"
        return next(filter(None, map(unequal, got, want)), None)
    if hasattr(want, "iloc"):
        return _unequal_frames(got, want)
    if isinstance(want, (float, np.floating)):
        return _unequal_arrays(np.asarray(got), np.asarray(want))
    try:
        return None if bool(got == want) else "another value"
    except Exception:  # noqa: BLE001 - whatever cannot be compared is not proved to be equal
        return f"values of {type(want).__name__} cannot be compared"


def _unequal_arrays(got: Any, want: Any) -> str | None:
    if got.dtype != want.dtype:
        return f"dtype {got.dtype} instead of {want.dtype}"
    if got.shape != want.shape:
        return f"shape {got.shape} instead of {want.shape}"
    if want.dtype.kind == "O":
        return unequal(got.tolist(), want.tolist())
    if want.dtype.kind not in "fc":
        return None if np.array_equal(got, want) else "other values"
    same = (
        (got == want) & (np.signbit(got) == np.signbit(want))
        if want.dtype.kind == "f"
        else (got == want)
    )
    same |= np.isnan(got) & np.isnan(want)
    if same.all():
        return None
    return f"{int((~same).sum())} of {same.size} values differ"


def _unequal_frames(got: Any, want: Any) -> str | None:
    if not got.index.equals(want.index) or type(got.index) is not type(want.index):
        return "another index"
    if hasattr(want, "columns"):
        if not got.columns.equals(want.columns):
            return "other columns"
        places = range(len(want.columns))
        series = (unequal(got.iloc[:, place], want.iloc[:, place]) for place in places)
        return next(filter(None, series), None)
    if got.name != want.name or got.dtype != want.dtype:
        return f"{got.name!r} of {got.dtype} instead of {want.name!r} of {want.dtype}"
    return unequal(got.to_numpy(), want.to_numpy())


def _ask(runtime: Runtime, question: Question) -> Asked:
    try:
        return Asked(question, runtime.predict(question.model_input, None), None)
    except Exception as error:  # noqa: BLE001 - the error's type is the answer
        return Asked(question, None, type(error))


def _error(error: type[BaseException] | None) -> str:
    return "an answer" if error is None else error.__name__


def _copy(model_input: Any) -> Any:
    if isinstance(model_input, Table):
        return Table({key: values[:] for key, values in _copied(model_input)}, model_input.rows)
    if isinstance(model_input, Mapping):
        return {name: _copy(values) for name, values in model_input.items()}
    return model_input.copy() if hasattr(model_input, "copy") else model_input


def _copied(table: Table) -> Iterator[tuple[Any, Any]]:
    for key, values in table.columns.items():
        yield key, values.copy() if isinstance(values, np.ndarray) else values


def _plain(model_input: Any) -> Any:
    return dict(model_input.columns) if isinstance(model_input, Table) else model_input


def _rows_of(answer: Any) -> int | None:
    try:
        return count_rows(answer)
    except (TypeError, StopIteration):
        return None


def _in_usual_order(model_input: Any) -> bool:
    return not isinstance(model_input, np.ndarray) or model_input.flags.c_contiguous


def _renumbered(answer: Any) -> Any:
    """``answer`` without the numbers of its rows, which pandas counts in the whole."""
    return answer.reset_index(drop=True) if hasattr(answer, "iloc") else answer


def _parts(rows: int) -> Iterator[tuple[int, int]]:
    """Single rows from both ends and the middle, and parts of several rows."""
    step = max(1, rows // 16)
    for start in range(0, rows, step):
        yield start, start + 1
    if rows >= 8:
        yield 0, rows // 2
        yield rows // 2, rows
        yield 1, rows - 2


def _sizes(rows: int) -> list[int]:
    """``rows`` in parts of 1, 2, 3, 1, 2, 3... rows."""
    sizes: list[int] = []
    while (rest := rows - sum(sizes)) > 0:
        sizes.append(min(rest, len(sizes) % 3 + 1))
    return sizes


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that strange inputs cause; people who ask them get them in the log."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def seconds_for(runtime: Runtime, question: Question, tries: int = 5) -> float:
    """The seconds that ``runtime`` takes for ``question``: the best of so many tries."""
    best = float("inf")
    with quiet():
        for _ in range(tries):
            watch = Stopwatch.start()
            _ask(runtime, question)
            best = min(best, watch.seconds)
    return best


def largest(batches: Sequence[Question]) -> Question | None:
    """The largest usual question among ``batches``, which no part is left to the reference of."""
    usual = [batch for batch in batches if batch.about == USUAL]
    return max(usual or batches, key=lambda batch: batch.rows, default=None)
