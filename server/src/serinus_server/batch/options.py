"""What a run was told to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serinus_server.batch.errors import UsageError
from serinus_server.batch.formats import PARQUET, STREAM, Format
from serinus_server.batch.spool import Paths

DEFAULT_CHUNK_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Options:
    """One run. ``errors`` is the name of the file for bad rows, or empty for none."""

    input: str
    input_format: Format
    output: str
    output_format: Format
    errors: str = ""
    chunk_rows: int = DEFAULT_CHUNK_ROWS
    features: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    skip_bad_rows: bool = False
    fast_paths: bool = True
    resume: bool = False
    force: bool = False

    @property
    def paths(self) -> Paths | None:
        """Where the run's files are; None where the output is a stream."""
        if self.output == STREAM:
            return None
        return Paths(Path(self.output), Path(self.errors) if self.errors else None)

    def identity(self, digest: str) -> dict[str, Any]:
        """All that the output's bytes depend on, in words for people: what a resumed run must share."""
        from serinus_server import __name__ as package

        found = Path(self.input).stat()
        return {
            "program": f"{package} {_version()}",
            "model": digest,
            "input": str(Path(self.input).resolve()),
            "size of the input": found.st_size,
            "time of the input": found.st_mtime_ns,
            "input format": [self.input_format.kind, self.input_format.codec],
            "output format": [self.output_format.kind, self.output_format.codec],
            "file for errors": self.errors,
            "chunk size": self.chunk_rows,
            "list of features": list(self.features),
            "list of kept columns": list(self.keep),
            "set of params": dict(self.params),
            "way with bad rows": "skip" if self.skip_bad_rows else "null",
        }

    def check(self) -> None:
        """Look at the files before anything else is done.

        Raises:
            UsageError: the input is missing, or something would be overwritten.
        """
        if self.input != STREAM and not Path(self.input).is_file():
            raise UsageError(f"--input {self.input}: there is no such file")
        if self.input == STREAM and self.input_format.kind == PARQUET:
            raise UsageError("Parquet cannot be read from standard input: its index is at its end")
        if self.output == STREAM and self.output_format.kind == PARQUET:
            raise UsageError("Parquet cannot be written to standard output: it is made in a file")
        if self.resume and STREAM in (self.input, self.output):
            raise UsageError("--resume needs files: a stream cannot be read or written again")
        if self.paths is not None:
            self._check_output(self.paths)

    def _check_output(self, paths: Paths) -> None:
        if not paths.output.parent.is_dir():
            raise UsageError(f"--output {self.output}: there is no folder {paths.output.parent}")
        if paths.errors is not None and not paths.errors.parent.is_dir():
            raise UsageError(f"--errors {self.errors}: there is no folder {paths.errors.parent}")
        if self.input != STREAM and Path(self.input).resolve() in _written(paths):
            raise UsageError("the input would be overwritten")
        if paths.checkpoint.exists() and not (self.resume or self.force):
            raise UsageError(
                f"an interrupted run has left {paths.checkpoint}: "
                "--resume goes on with it, --force begins again"
            )
        if self.force or (self.resume and paths.checkpoint.exists()):
            return
        for path in (paths.output, paths.errors):
            if path is not None and path.exists():
                raise UsageError(f"{path} exists already: --force overwrites it")


def _written(paths: Paths) -> set[Path]:
    every = (paths.output, paths.errors, paths.part, paths.errors_part, paths.checkpoint)
    return {path.resolve() for path in every if path is not None}


def _version() -> str:
    from importlib.metadata import version

    return version("serinus")
