"""How far a run is, for people: a bar on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import sys
from typing import Protocol

from serinus_server.telemetry.stopwatch import Stopwatch

_SECONDS = 10.0  # between two plain lines


class Display(Protocol):
    """Is told how far a run is."""

    def say(self, message: str) -> None:
        """Show a line of text."""

    def update(self, rows: int, bad: int, done: float | None) -> None:
        """``rows`` rows are done, of which ``bad`` were bad; ``done`` is 0 to 1, where known."""

    def close(self) -> None:
        """Show nothing more."""


def make_display(*, quiet: bool) -> Display:
    """The display for standard error."""
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Plain()


class Quiet:
    """Nothing."""

    def say(self, message: str) -> None: ...

    def update(self, rows: int, bad: int, done: float | None) -> None: ...

    def close(self) -> None: ...


class Plain:
    """A line every ten seconds."""

    def __init__(self) -> None:
        self._watch = Stopwatch.start()
        self._first: int | None = None  # rows that were done before this process
        self._next = _SECONDS

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - it is a command

    def update(self, rows: int, bad: int, done: float | None) -> None:
        if self._first is None:
            self._first, self._watch = rows, Stopwatch.start()
        seconds = self._watch.seconds
        if seconds < self._next:
            return
        self._next = seconds + _SECONDS
        share = "" if done is None else f", {done:.0%}"
        troubles = f", {bad:,} bad" if bad else ""
        speed = (rows - self._first) / seconds
        self.say(f"{rows:,} rows{share}, {speed:,.0f} rows/s{troubles}")

    def close(self) -> None: ...


class Bar:
    """A progress bar with rows, rows/s and the time that is left."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[rows]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: progress.TaskID | None = None
        self._watch = Stopwatch.start()
        self._first = 0

    def say(self, message: str) -> None:
        self._console.print(message, markup=False)

    def update(self, rows: int, bad: int, done: float | None) -> None:
        if self._task is None:
            self._first, self._watch = rows, Stopwatch.start()
            self._task = self._progress.add_task("", total=None, rows="")
            self._progress.start()
        seconds = self._watch.seconds
        speed = (rows - self._first) / seconds if seconds > 0.1 else 0
        troubles = f", {bad:,} bad" if bad else ""
        self._progress.update(
            self._task,
            total=None if done is None else 1.0,
            completed=done or 0.0,
            rows=f"{rows:,} rows, {speed:,.0f} rows/s{troubles}",
        )

    def close(self) -> None:
        self._progress.stop()
