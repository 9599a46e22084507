"""Parquet. Its index is at its end, so that rows are first spooled as an Arrow stream.

A stream can be cut off after any batch and continued; when all rows are there, it is copied into
row groups whose size does not depend on the chunks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serinus_server.batch.chunk import Column
from serinus_server.batch.errors import RunFailed
from serinus_server.batch.spool import packed_part
from serinus_server.batch.writers.base import Block, listed

_GROUP_ROWS = 128 * 1024
_GROUP_BYTES = 64 * 1024 * 1024


class ParquetWriter:
    """Spools batches; every one has the columns and types of the first."""

    def __init__(self, part: Path | None) -> None:
        self._schema: pa.Schema | None = None
        if part is not None and part.stat().st_size:
            try:
                with part.open("rb") as file, pa.ipc.open_stream(file) as stream:
                    self._schema = stream.schema
            except (OSError, pa.ArrowInvalid):
                raise RunFailed("what the interrupted run has left is damaged") from None

    def begin(self, block: Block) -> bytes:
        fields = []
        for column in block.columns:
            array = _array(column, None)
            # Nothing but nulls says nothing of the type.
            kind = pa.string() if pa.types.is_null(array.type) else array.type
            fields.append(pa.field(column.name, kind))
        self._schema = pa.schema(fields)
        return bytes(self._schema.serialize())

    def write(self, block: Block) -> bytes:
        assert self._schema is not None  # noqa: S101 - begin or an earlier run made it
        if not block.rows:
            return b""
        spread = None
        if not block.whole:
            numbers: list[int | None] = list(range(len(block.places)))
            spread = pa.array(block.spread(numbers), pa.int64())
        arrays = []
        for number, (column, field) in enumerate(zip(block.columns, self._schema, strict=True)):
            array = _array(column, field.type)
            predicted = number >= len(self._schema) - len(block.predicted)
            arrays.append(array.take(spread) if predicted and spread is not None else array)
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        return bytes(batch.serialize())

    def finish(self, part: Path) -> Path:
        target = packed_part(part)
        try:
            with (
                part.open("rb") as file,
                pa.ipc.open_stream(file) as stream,
                pq.ParquetWriter(target, stream.schema, compression="zstd") as writer,
            ):
                pending: list[pa.RecordBatch] = []
                for batch in stream:
                    pending.append(batch)
                    if (
                        sum(b.num_rows for b in pending) >= _GROUP_ROWS
                        or sum(b.nbytes for b in pending) >= _GROUP_BYTES
                    ):
                        _write(writer, pending)
                        pending = []
                if pending:
                    _write(writer, pending)
        except (OSError, pa.ArrowInvalid) as error:
            raise RunFailed(f"the Parquet file cannot be written: {error}") from None
        return target


def _write(writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
    table = pa.Table.from_batches(batches)
    writer.write_table(table, row_group_size=table.num_rows)


def _array(column: Column, kind: Any) -> Any:
    """The column as an Arrow array of type ``kind``, or of the type that its values have."""
    values = column.values
    try:
        if isinstance(values, (pa.Array, pa.ChunkedArray)):
            return values if kind is None or values.type == kind else values.cast(kind)
        if isinstance(values, np.ndarray) and values.dtype != np.float16:
            array = pa.array(values)
            return array if kind is None or array.type == kind else array.cast(kind)
        return pa.array(listed(values), kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        wanted = "one type" if kind is None else f"the type {kind} of the rows before"
        raise RunFailed(
            f"column {column.name!r} has values that are not of {wanted} "
            f"({str(error).splitlines()[0]}); CSV and JSON lines take any"
        ) from None
