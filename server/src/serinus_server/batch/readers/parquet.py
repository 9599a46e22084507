"""Parquet, by batches of rows from one row group after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serinus_server.batch.chunk import Chunk, Column, Position
from serinus_server.batch.errors import RunFailed
from serinus_server.batch.readers.base import Features, Plan, kept_names, require_distinct
from serinus_server.service.payload import Payload


class ParquetReader:
    """A Parquet file. Its columns have types, which are held against the signature's."""

    def __init__(self, name: str, plan: Plan) -> None:
        try:
            self._file = pq.ParquetFile(
                name, memory_map=False, pre_buffer=False, buffer_size=1 << 20
            )
        except (OSError, pa.ArrowInvalid) as error:
            reason = str(error).splitlines()[0]
            raise RunFailed(f"{name} cannot be read as Parquet: {reason}") from None
        self._plan = plan
        try:
            self._choose_columns(plan)
        except BaseException:
            self._file.close()
            raise

    def _choose_columns(self, plan: Plan) -> None:
        self.columns = tuple(self._file.schema_arrow.names)
        require_distinct(self.columns)
        self._features = Features(plan, self.columns)
        self._kept = kept_names(plan, self.columns)
        names = [feature.name for feature in self._features.list]
        self._read = list(dict.fromkeys([*names, *self._kept]))
        self._total = self._file.metadata.num_rows
        self._rows = 0

    def chunks(self, after: Position) -> Iterator[Chunk]:
        self._rows = after.rows
        metadata = self._file.metadata
        begin = 0
        for group in range(self._file.num_row_groups):
            end = begin + metadata.row_group(group).num_rows
            if end > after.rows:
                for batch in self._batches(group, max(0, after.rows - begin)):
                    self._rows += batch.num_rows
                    yield self._chunk(batch)
            begin = end

    def done(self) -> float | None:
        return self._rows / self._total if self._total else None

    def close(self) -> None:
        self._file.close()

    def _batches(self, group: int, skip: int) -> Iterator[pa.RecordBatch]:
        """One row group's batches after the first ``skip`` rows, which are whole batches."""
        try:
            for batch in self._file.iter_batches(
                self._plan.chunk_rows, row_groups=[group], columns=self._read, use_threads=False
            ):
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                else:
                    yield batch.slice(skip)
                    skip = 0
        except (OSError, pa.ArrowInvalid) as error:
            reason = str(error).splitlines()[0]
            raise RunFailed(f"the Parquet file cannot be read: {reason}") from None

    def _chunk(self, batch: pa.RecordBatch) -> Chunk:
        columns = {
            feature.name: _values(batch.column(feature.name), feature.type)
            for feature in self._features.list
        }
        return Chunk(
            rows=batch.num_rows,
            after=Position(self._rows),
            payload=partial(self._payload, columns),
            line=lambda _row: None,
            raw=lambda row: batch.slice(row, 1).to_pylist()[0],
            kept=[Column(name, batch.column(name)) for name in self._kept],
        )

    def _payload(self, columns: Mapping[str, Any], start: int, stop: int) -> Payload:
        return self._features.payload(
            {name: values[start:stop] for name, values in columns.items()}
        )


def _values(array: Any, kind: str) -> Any:
    """A column as requests have it: arrays of numbers and times, lists of all else."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_decimal(array.type):
        array = pc.cast(array, pa.float64())
    if pa.types.is_floating(array.type):
        return array.to_numpy(zero_copy_only=False)  # null is NaN
    if pa.types.is_integer(array.type) and not array.null_count:
        return array.to_numpy()
    if pa.types.is_boolean(array.type) and not array.null_count:
        return array.to_numpy(zero_copy_only=False)
    if pa.types.is_date(array.type) or pa.types.is_timestamp(array.type):
        if getattr(array.type, "tz", None) is None:
            return pc.cast(array, pa.timestamp("ns")).to_numpy(zero_copy_only=False)
        return [None if value is None else value.isoformat() for value in array.to_pylist()]
    values = array.to_pylist()
    if kind in ("double", "float") and pa.types.is_integer(array.type):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return values
