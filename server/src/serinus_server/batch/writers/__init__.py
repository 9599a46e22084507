"""Answers as bytes that are only ever appended to a file, which ``finish`` makes the output of."""

from __future__ import annotations

from pathlib import Path

from serinus_server.batch import formats
from serinus_server.batch.formats import Format
from serinus_server.batch.writers.base import Writer


def make_writer(form: Format, part: Path | None) -> Writer:
    """A writer of ``form``; ``part`` is what an interrupted run has left, for the types of its columns.

    Raises:
        RunFailed: ``part`` is damaged.
    """
    if form.kind == formats.PARQUET:
        from serinus_server.batch.writers.parquet import ParquetWriter

        return ParquetWriter(part)
    from serinus_server.batch.writers.text import CsvWriter, JsonlWriter

    return CsvWriter(form.codec) if form.kind == formats.CSV else JsonlWriter(form.codec)
