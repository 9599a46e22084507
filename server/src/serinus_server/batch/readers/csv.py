"""CSV with a header: split into records here, so that every row has its place, and parsed by Arrow.

Every value is text first, and becomes a number only where the signature wants one. An empty value
is null; a quoted empty value is the empty string.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from serinus_server.batch.chunk import Chunk, Column, Position
from serinus_server.batch.errors import RunFailed
from serinus_server.batch.readers.base import Features, Plan, kept_names, require_distinct
from serinus_server.batch.readers.cells import convert, guess_type
from serinus_server.batch.readers.text import Lines, Records, TextFile, is_open
from serinus_server.service.payload import Payload

_WIDTH = re.compile(r"Expected (\d+) columns, got (\d+)")


class CsvReader:
    """A CSV file whose first record names the columns."""

    def __init__(self, name: str, codec: str, plan: Plan) -> None:
        self._file = TextFile(name, codec)
        self._name, self._codec = name, codec
        self._plan = plan
        try:
            self._read_header(plan)
        except BaseException:
            self._file.close()
            raise

    def _read_header(self, plan: Plan) -> None:
        self._records = Records(self._file, Position(), quotes=True)
        header = self._records.take(1)
        if header is None:
            raise RunFailed("the input is empty; a CSV file begins with the names of its columns")
        self.columns = _header(header.text(0))
        # The header is no row.
        self._begin = Position(0, header.after.lines, header.after.offset)
        require_distinct(self.columns)
        self._features = Features(plan, self.columns)
        self._kept = kept_names(plan, self.columns)
        self._types: dict[str, str] = {}

    def chunks(self, after: Position) -> Iterator[Chunk]:
        taken = self._records.take(self._plan.chunk_rows)
        if taken is not None:
            self._types = self._types_of(self._table(taken, {}))
        if after.offset > self._begin.offset:
            self._file.close()
            self._file = TextFile(self._name, self._codec)
            self._records = Records(self._file, after, quotes=True)
            taken = self._records.take(self._plan.chunk_rows)
        rows = after.rows
        while taken is not None:
            yield self._chunk(taken, Position(rows, 0, 0))
            rows += len(taken.starts)
            taken = self._records.take(self._plan.chunk_rows)

    def done(self) -> float | None:
        return self._file.done()

    def close(self) -> None:
        self._file.close()

    def _types_of(self, first: pa.Table) -> dict[str, str]:
        """Each feature's type; what the signature does not say is guessed from the first chunk."""
        return {
            feature.name: feature.type or guess_type(first.column(feature.name))
            for feature in self._features.list
        }

    def _chunk(self, taken: Lines, before: Position) -> Chunk:
        bad: dict[int, str] = {}
        table = self._table(taken, bad)
        columns = {}
        for feature in self._features.list:
            cells = table.column(feature.name)
            columns[feature.name] = convert(cells, self._types[feature.name], feature.name, bad)
        if bad:
            good = [row for row in range(len(taken.starts)) if row not in bad]
            columns = {name: _only(values, good) for name, values in columns.items()}
        return Chunk(
            rows=len(taken.starts),
            after=Position(before.rows + len(taken.starts), taken.after.lines, taken.after.offset),
            payload=partial(self._payload, columns),
            line=taken.numbers.__getitem__,
            raw=lambda row: taken.text(row).decode(errors="replace"),
            bad=bad,
            kept=[Column(name, table.column(name).to_pylist()) for name in self._kept],
        )

    def _payload(self, columns: Mapping[str, Any], start: int, stop: int) -> Payload:
        return self._features.payload(
            {name: values[start:stop] for name, values in columns.items()}
        )

    def _table(self, taken: Lines, bad: dict[int, str]) -> pa.Table:
        """The records' values as text; records that are none are all null, and in ``bad``."""
        parts: list[pa.Table] = []
        self._parse(taken, 0, len(taken.starts), parts, bad)
        return pa.concat_tables(parts).combine_chunks()

    def _parse(
        self, taken: Lines, start: int, stop: int, parts: list[pa.Table], bad: dict[int, str]
    ) -> None:
        """Parse records together, or in halves, so that a broken one fails alone."""
        data = memoryview(taken.data)[taken.starts[start] : taken.ends[stop - 1]]
        try:
            table = _parsed(data, self.columns)
            # An open quote swallows the records after it; of the last one, Arrow makes a value.
            if is_open(taken.text(stop - 1)):
                table = None
            reason = "opens a quote that is never closed"
        except pa.ArrowInvalid as error:
            table, reason = None, _reason(str(error))
        if table is not None and table.num_rows == stop - start:
            parts.append(table)
        elif stop - start == 1:
            bad[start] = reason
            parts.append(_nulls(self.columns))
        else:
            middle = (start + stop) // 2
            self._parse(taken, start, middle, parts, bad)
            self._parse(taken, middle, stop, parts, bad)


def _parsed(data: memoryview, columns: tuple[str, ...]) -> pa.Table:
    return arrow_csv.read_csv(
        pa.py_buffer(data),
        # One block, because records may not cross the border of two.
        read_options=arrow_csv.ReadOptions(
            column_names=columns, block_size=len(data) + 1, use_threads=False
        ),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _header(text: bytes) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([text.decode()], strict=True)))
    except UnicodeDecodeError:
        raise RunFailed("the names of the columns are no UTF-8 text") from None
    except csv.Error as error:
        raise RunFailed(f"the names of the columns cannot be read: {error}") from None


def _nulls(columns: tuple[str, ...]) -> pa.Table:
    return pa.table({name: pa.nulls(1, pa.string()) for name in columns})


def _only(values: Any, rows: list[int]) -> Any:
    return [values[row] for row in rows] if isinstance(values, list) else values[rows]


def _reason(message: str) -> str:
    if width := _WIDTH.search(message):
        return f"has {width[2]} values, but the header names {width[1]} columns"
    return "is no UTF-8 text" if "UTF8" in message else "is no valid CSV"
