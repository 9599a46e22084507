"""The files of a run, so that it can be cut off at any moment and go on with the same bytes.

Bytes are appended to ``OUTPUT.part`` (and the bad rows' to ``ERRORS.part``). ``OUTPUT.checkpoint`` says
up to where they are good, and how far the input was read for them; it is replaced as a whole, after
what it speaks of is on disk. Whatever is behind a checkpoint is cut off when a run goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from serinus_server.batch.chunk import Position
from serinus_server.batch.errors import RunFailed, UsageError

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run has done: everything that is needed to go on.

    ``output`` and ``errors`` count the good bytes of the two part files, ``bad`` the bad rows.
    ``columns`` are the answers' names, empty before the first; ``records`` those of kept JSON
    records. ``how`` is the way in which the model is asked.
    """

    position: Position = field(default_factory=Position)
    output: int = 0
    errors: int = 0
    bad: int = 0
    columns: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    how: str = ""
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a run's files are; ``errors`` is None where bad rows are only counted."""

    output: Path
    errors: Path | None
    part: Path = field(init=False)
    errors_part: Path | None = field(init=False)
    checkpoint: Path = field(init=False)

    def __post_init__(self) -> None:
        beside = self.output.with_name
        name = self.output.name
        object.__setattr__(self, "part", beside(f"{name}.part"))
        object.__setattr__(self, "checkpoint", beside(f"{name}.checkpoint"))
        errors = self.errors
        part = None if errors is None else errors.with_name(f"{errors.name}.part")
        object.__setattr__(self, "errors_part", part)


class Spool:
    """The open part files. ``progress`` is what they hold; ``save`` makes it last."""

    def __init__(self, paths: Paths, identity: Mapping[str, Any], progress: Progress) -> None:
        """Open the files, and cut off what ``progress`` does not know of.

        An older checkpoint is removed when nothing is done yet.

        Raises:
            RunFailed: they cannot be written, are shorter than they were, or another run has them.
        """
        self._paths = paths
        self._identity = dict(identity)
        self.progress = progress
        self._saved = progress
        self._output: IO[bytes] | None = None
        self._errors: IO[bytes] | None = None
        try:
            self._output = _open(paths.part, progress.output)
            if progress == Progress():  # not before the files are ours
                paths.checkpoint.unlink(missing_ok=True)
            self._output.truncate(progress.output)
            if paths.errors_part is not None:
                self._errors = _open(paths.errors_part, progress.errors)
                self._errors.truncate(progress.errors)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise _failed(error) from None
            raise

    def append(self, output: bytes, errors: bytes, progress: Progress) -> None:
        """Add bytes, after which the run has done ``progress``; the counts of bytes are set here.

        Raises:
            RunFailed: they cannot be written.
        """
        assert self._output is not None  # noqa: S101 - it is open
        try:
            self._output.write(output)
            if self._errors is not None:
                self._errors.write(errors)
        except OSError as error:
            raise _failed(error) from None
        self.progress = replace(
            progress,
            output=self.progress.output + len(output),
            errors=self.progress.errors + (len(errors) if self._errors is not None else 0),
        )

    def save(self) -> None:
        """Put everything on disk, so that the run can go on from here.

        Raises:
            RunFailed: it cannot be written.
        """
        progress = self.progress
        if progress == self._saved and self._paths.checkpoint.exists():
            return
        document = {"version": _VERSION, "run": self._identity, "progress": asdict(progress)}
        fresh = _fresh(self._paths)
        try:
            for file in (self._output, self._errors):
                if file is not None:
                    file.flush()
                    os.fsync(file.fileno())
            with fresh.open("wb") as checkpoint:
                checkpoint.write(json.dumps(document, indent=1).encode())
                checkpoint.flush()
                os.fsync(checkpoint.fileno())
            fresh.replace(self._paths.checkpoint)
            _sync_folder(self._paths.output.parent)
        except OSError as error:
            raise _failed(error) from None
        self._saved = progress

    def close(self) -> None:
        """Let go of the files; what was not saved is lost."""
        for file in (self._output, self._errors):
            if file is not None:
                with contextlib.suppress(OSError):  # a full disk was told before
                    file.close()


def publish(paths: Paths, whole: Path, progress: Progress) -> None:
    """Give the finished files their names; the output's last. May be called again after a crash.

    ``whole`` is the finished output. A file of bad rows is only there when there are some.

    Raises:
        RunFailed: they cannot be renamed.
    """
    try:
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        if paths.errors is not None and paths.errors_part is not None:
            if progress.bad and paths.errors_part.exists():
                paths.errors_part.replace(paths.errors)
            elif not progress.bad:
                paths.errors_part.unlink(missing_ok=True)
                paths.errors.unlink(missing_ok=True)  # of an earlier run that was overwritten
            _sync_folder(paths.errors.parent)
        whole.replace(paths.output)
        _sync_folder(paths.output.parent)
        clean_up(paths)
    except OSError as error:
        raise _failed(error) from None


def clean_up(paths: Paths) -> None:
    """Remove what a run leaves beside its output; the checkpoint first."""
    paths.checkpoint.unlink(missing_ok=True)
    for path in (paths.part, packed_part(paths.part), _fresh(paths)):
        path.unlink(missing_ok=True)
    if paths.errors_part is not None:
        paths.errors_part.unlink(missing_ok=True)


def packed_part(part: Path) -> Path:
    """Where an output is made that is more than the bytes of ``part``."""
    return part.with_name(f"{part.name}.parquet")


def read_checkpoint(paths: Paths, identity: Mapping[str, Any]) -> Progress:
    """What the interrupted run has done.

    Raises:
        UsageError: there is none, or it was another run than the one that ``identity`` describes.
        RunFailed: it cannot be read.
    """
    try:
        document = json.loads(paths.checkpoint.read_text(encoding="utf-8"))
        run, found = document["run"], document["progress"]
        known = document["version"] == _VERSION
        progress = Progress(
            **{
                **found,
                "position": Position(**found["position"]),
                "columns": tuple(found["columns"]),
                "records": tuple(found["records"]),
            }
        )
    except OSError as error:
        raise _failed(error) from None
    except (ValueError, KeyError, TypeError):
        raise RunFailed(f"{paths.checkpoint} is no checkpoint; --force begins again") from None
    if not known:
        raise UsageError(f"{paths.checkpoint} is of another version; --force begins again")
    expected = json.loads(json.dumps(identity))
    for name in {**run, **expected}:
        if run.get(name) != expected.get(name):
            raise UsageError(
                f"cannot resume: the interrupted run had another {name} "
                f"({run.get(name)!r}, now {expected.get(name)!r}); --force begins again"
            )
    return progress


def _fresh(paths: Paths) -> Path:
    """The next checkpoint, while it is written."""
    return paths.checkpoint.with_name(f"{paths.checkpoint.name}.new")


def _open(path: Path, size: int) -> IO[bytes]:
    """The file, locked, for appending; it has ``size`` bytes at least."""
    file = path.open("ab")
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise RunFailed(f"another run is writing {path}") from None
    if os.fstat(file.fileno()).st_size < size:
        file.close()
        raise RunFailed(f"{path} is shorter than its checkpoint says; --force begins again")
    return file


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(error: OSError) -> RunFailed:
    return RunFailed(f"{error.filename or 'the output'}: {error.strerror or error}")
