"""One run: reads, asks, writes, and remembers how far it is."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

from serinus_server.batch.answers import Answered, Asker, require_names
from serinus_server.batch.chunk import Chunk, Column
from serinus_server.batch.errors import RunFailed, UsageError
from serinus_server.batch.formats import STREAM
from serinus_server.batch.options import Options
from serinus_server.batch.predictions import PREDICTION, output_names
from serinus_server.batch.progress import Display
from serinus_server.batch.readers import open_reader
from serinus_server.batch.readers.base import ALL, Plan
from serinus_server.batch.spool import (
    Paths,
    Progress,
    Spool,
    clean_up,
    publish,
    read_checkpoint,
)
from serinus_server.batch.writers import make_writer
from serinus_server.batch.writers.base import Block, Writer
from serinus_server.batch.writers.text import dump
from serinus_server.service.model import ServedModel
from serinus_server.telemetry.stopwatch import Stopwatch

SAVE_SECONDS = 1.0  # between two checkpoints: as much work is done again after a crash
_SHOWN = 10  # bad rows that are shown where no file takes them


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run's rows, and how many of them were bad."""

    rows: int
    bad: int


def run(
    options: Options,
    digest: str,
    load: Callable[[], ServedModel],
    display: Display,
    *,
    check: Callable[[], None] = lambda: None,
    save_seconds: float = SAVE_SECONDS,
    stdout: BinaryIO | None = None,
) -> Result:
    """Answer every row of the input, or go on with a run that was interrupted.

    ``digest`` is the model's, which is only loaded by ``load`` once it is clear that the run can
    begin. Interrupted at any point, the run can be resumed. ``check`` is called after each chunk, and
    may raise to end it.

    Raises:
        UsageError: the options do not fit what an interrupted run has left.
        RunFailed: the run cannot go on.
        StartupError: the model cannot be loaded.
    """
    paths = options.paths
    if paths is None:
        sink: _Stream | Spool = _Stream(stdout or sys.stdout.buffer)
        progress = Progress()
    else:
        identity = {} if options.input == STREAM else options.identity(digest)
        progress = _progress(options, paths, identity)
        if progress.complete:
            return _publish(options, paths, progress)
        sink = Spool(paths, identity, progress)
    try:
        _Job(options, load(), progress, paths, display, check, save_seconds).work(sink)
    finally:
        try:
            done = sink.progress
            if done.complete or (done.position.rows and options.input != STREAM):
                sink.save()
            elif paths is not None:
                clean_up(paths)  # there is nothing to go on with
        finally:
            sink.close()
    if paths is None:
        return Result(sink.progress.position.rows, sink.progress.bad)
    return _publish(options, paths, sink.progress)


def _progress(options: Options, paths: Paths, identity: dict[str, object]) -> Progress:
    if options.resume and paths.checkpoint.exists():
        return read_checkpoint(paths, identity)
    return Progress()


def _publish(options: Options, paths: Paths, progress: Progress) -> Result:
    result = Result(progress.position.rows, progress.bad)
    if not paths.part.exists():  # a crash came after the last rename
        clean_up(paths)
        return result
    whole = make_writer(options.output_format, None).finish(paths.part)
    publish(paths, whole, progress)
    return result


class _Job:
    """The work between the files' opening and their publication."""

    def __init__(
        self,
        options: Options,
        model: ServedModel,
        progress: Progress,
        paths: Paths | None,
        display: Display,
        check: Callable[[], None],
        save_seconds: float,
    ) -> None:
        for name in options.params:
            if name not in model.signature.params:
                known = ", ".join(model.signature.params) or "none"
                raise UsageError(f"--params {name}: is no parameter of this model; it has {known}")
        self._asker = Asker(model, options.params, progress.how)
        part = paths.part if paths is not None and progress.columns else None
        self._writer: Writer = make_writer(options.output_format, part)
        if progress.columns:
            self._asker.resumed()
        self._options = options
        self._progress = progress
        self._names = output_names(model.signature) or (PREDICTION,)
        self._display = display
        self._check = check
        # What was read from a stream cannot be read again.
        self._save_seconds = math.inf if options.input == STREAM else save_seconds
        self._shown = 0
        plan = Plan(model.signature, options.chunk_rows, options.features, options.keep)
        self._reader = open_reader(options.input, options.input_format, plan)

    def work(self, sink: Spool | _Stream) -> None:
        """Do all the rest of the input."""
        progress = self._progress
        saved = Stopwatch.start()
        try:
            if progress.position.rows:
                self._display.say(f"going on after {progress.position.rows:,} rows")
            self._display.update(progress.position.rows, progress.bad, self._reader.done())
            for chunk in self._reader.chunks(progress.position):
                output, errors, progress = self._do(chunk, progress)
                sink.append(output, errors, progress)
                progress = sink.progress
                self._display.update(progress.position.rows, progress.bad, self._reader.done())
                self._check()
                if saved.seconds >= self._save_seconds:
                    sink.save()
                    saved = Stopwatch.start()
            output = b""
            if not progress.columns:  # not one row had an answer: the columns are the signature's
                block, progress = self._first(_empty(), progress)
                output = self._writer.begin(block)
            sink.append(output, b"", replace(progress, complete=True))
        finally:
            self._reader.close()

    def _do(self, chunk: Chunk, progress: Progress) -> tuple[bytes, bytes, Progress]:
        """The bytes for the output and for the bad rows that ``chunk`` becomes."""
        answered = self._asker.ask(chunk)
        before = progress.position.rows
        errors = b"".join(
            dump(
                {
                    "row": before + row,
                    "line": chunk.line(row),
                    "reason": why,
                    "input": chunk.raw(row),
                }
            )
            + b"\n"
            for row, why in answered.bad.items()
        )
        self._show(before, answered)
        block = self._block(chunk, answered, progress)
        output = b""
        if not progress.columns:
            block, progress = self._first(block, progress)
            output = self._writer.begin(block)
        elif block.predicted:
            require_names(list(progress.columns), [column.name for column in block.predicted])
        else:
            block = replace(block, predicted=_nothing(progress.columns))
        if self._options.skip_bad_rows:
            block = _without_bad(block)
        output += self._writer.write(block)
        return (
            output,
            errors,
            replace(
                progress,
                position=chunk.after,
                bad=progress.bad + len(answered.bad),
                how=self._asker.how,
            ),
        )

    def _block(self, chunk: Chunk, answered: Answered, progress: Progress) -> Block:
        return Block(
            rows=chunk.rows,
            places=answered.places,
            kept=chunk.kept,
            predicted=answered.columns or (),
            records=chunk.records,
            record_names=progress.records,
        )

    def _first(self, block: Block, progress: Progress) -> tuple[Block, Progress]:
        """The first block fixes the columns, of kept records and of answers."""
        if not block.predicted:
            block = replace(block, predicted=_nothing(self._names))
        keep = self._options.keep
        records: tuple[str, ...] = ()
        if block.records is not None:
            first = next((record for record in block.records if record), {})
            records = tuple(first) if keep == (ALL,) else keep
        names = [column.name for column in block.predicted]
        kept = [*(column.name for column in block.kept), *records]
        if both := sorted(set(names) & set(kept)):
            raise RunFailed(
                f"the answers have a column {both[0]!r} as the kept input does: "
                "name the columns to keep by --columns, without it"
            )
        block = replace(block, record_names=records)
        return block, replace(progress, columns=tuple(names), records=records)

    def _show(self, before: int, answered: Answered) -> None:
        """Tell about bad rows where no file does."""
        if self._options.errors:
            return
        for row, why in answered.bad.items():
            if self._shown < _SHOWN:
                self._display.say(f"row {before + row}: {why}")
            self._shown += 1


class _Stream:
    """Output that cannot be taken back: standard output."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.progress = Progress()

    def append(self, output: bytes, _errors: bytes, progress: Progress) -> None:
        try:
            self._file.write(output)
            self._file.flush()
        except OSError as error:
            raise RunFailed(f"standard output: {error.strerror}") from None
        self.progress = progress

    def save(self) -> None:
        """Nothing can be kept."""

    def close(self) -> None:
        """It belongs to the process."""


def _nothing(names: tuple[str, ...]) -> list[Column]:
    return [Column(name, []) for name in names]


def _empty() -> Block:
    return Block(rows=0, places=(), kept=(), predicted=())


def _without_bad(block: Block) -> Block:
    """Only the rows that have an answer."""
    if block.whole:
        return block
    places = list(block.places)
    return replace(
        block,
        rows=len(places),
        places=range(len(places)),
        kept=[Column(column.name, _picked(column.values, places)) for column in block.kept],
        records=None if block.records is None else [block.records[place] for place in places],
    )


def _picked(values: object, places: list[int]) -> object:
    if isinstance(values, list):
        return [values[place] for place in places]
    return values.take(places)  # type: ignore[attr-defined]  # a pyarrow array
