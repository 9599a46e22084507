"""Files as chunks of rows: bounded memory, exact places in the file, and a way to go on later."""

from __future__ import annotations

from serinus_server.batch import formats
from serinus_server.batch.formats import Format
from serinus_server.batch.readers.base import Plan, Reader


def open_reader(name: str, form: Format, plan: Plan) -> Reader:
    """A reader of the file ``name``, or of standard input for ``-``.

    Raises:
        RunFailed: it cannot be read, or lacks columns that ``plan`` wants.
    """
    if form.kind == formats.PARQUET:
        from serinus_server.batch.readers.parquet import ParquetReader

        return ParquetReader(name, plan)
    if form.kind == formats.CSV:
        from serinus_server.batch.readers.csv import CsvReader

        return CsvReader(name, form.codec, plan)
    from serinus_server.batch.readers.jsonl import JsonlReader

    return JsonlReader(name, form.codec, plan)
