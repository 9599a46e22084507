"""JSON lines: a record (object), or the values of one row (array), on each line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from serinus_server.batch.chunk import Chunk, Position
from serinus_server.batch.readers.base import ALL, Plan
from serinus_server.batch.readers.text import Lines, Records, TextFile
from serinus_server.errors import InvalidInput, RequestError
from serinus_server.protocols.json import read_json
from serinus_server.service.payload import Array, Payload
from serinus_server.service.payload import Records as RecordsPayload


class JsonlReader:
    """A file of JSON lines; each is as strict as the JSON of a request."""

    def __init__(self, name: str, codec: str, plan: Plan) -> None:
        self._file = TextFile(name, codec)
        self._plan = plan

    def chunks(self, after: Position) -> Iterator[Chunk]:
        records = Records(self._file, after, quotes=False)
        while (taken := records.take(self._plan.chunk_rows)) is not None:
            yield self._chunk(taken)

    def done(self) -> float | None:
        return self._file.done()

    def close(self) -> None:
        self._file.close()

    def _chunk(self, taken: Lines) -> Chunk:
        bad: dict[int, str] = {}
        values: list[Any] = []
        for row in range(len(taken.starts)):
            try:
                values.append(read_json(taken.text(row)))
            except RequestError as error:
                bad[row] = str(error).replace("the body", "the line", 1)
                values.append(None)
        good = [value for row, value in enumerate(values) if row not in bad] if bad else values
        return Chunk(
            rows=len(values),
            after=taken.after,
            payload=partial(self._payload, good),
            line=taken.numbers.__getitem__,
            raw=lambda row: taken.text(row).decode(errors="replace"),
            bad=bad,
            records=[self._kept(value) for value in values] if self._plan.keep else None,
        )

    def _payload(self, values: list[Any], start: int, stop: int) -> Payload:
        rows = values[start:stop]
        kinds = {type(row) for row in rows}
        if kinds == {dict}:
            return RecordsPayload([self._chosen(row) for row in rows])
        if dict in kinds:
            raise InvalidInput("objects and other values cannot be asked together")
        return Array(rows)

    def _chosen(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self._plan.features:
            return row
        return {name: row[name] for name in self._plan.features if name in row}

    def _kept(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            return {}
        if self._plan.keep == (ALL,):
            return value
        return {name: value.get(name) for name in self._plan.keep}
