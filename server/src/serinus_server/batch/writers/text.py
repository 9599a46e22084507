"""CSV and JSON lines. Numbers have the very digits that the server's JSON has.

Compressed output is one gzip member or zstd frame for each piece, so that every piece can be the
last one that an interrupted run has written; all tools read these one after the other.
"""

from __future__ import annotations

import base64
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from serinus_server.batch.errors import RunFailed
from serinus_server.batch.writers.base import Block, listed

_SPECIAL = frozenset(',"\r\n')
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


class CsvWriter:
    """CSV with a header. Null is empty, the empty string is ``""``, nested values are JSON."""

    def __init__(self, codec: str) -> None:
        self._codec = codec

    def begin(self, block: Block) -> bytes:
        names = [column.name for column in block.columns]
        return _packed((",".join(map(_quoted, names)) + "\n").encode(), self._codec)

    def write(self, block: Block) -> bytes:
        if not block.rows:
            return b""
        columns = [_texts(column.values) for column in block.columns]
        first = len(columns) - len(block.predicted)
        columns[first:] = [block.spread(texts, "") for texts in columns[first:]]
        # A line that holds one null only would be empty, and no row to anybody.
        if len(columns) == 1:
            lines = [text or '""' for text in columns[0]]
        else:
            lines = list(map(",".join, zip(*columns, strict=True)))
        return _packed(("\n".join(lines) + "\n").encode("utf-8", "replace"), self._codec)

    def finish(self, part: Path) -> Path:
        return part


class JsonlWriter:
    """One object for each row. NaN and infinite numbers are null, as in the server's answers."""

    def __init__(self, codec: str) -> None:
        self._codec = codec

    def begin(self, block: Block) -> bytes:  # noqa: ARG002 - there is no header
        return b""

    def write(self, block: Block) -> bytes:
        if not block.rows:
            return b""
        kept = [listed(column.values) for column in block.kept]
        predicted = [block.spread(listed(column.values)) for column in block.predicted]
        names = [column.name for column in (*block.kept, *block.predicted)]
        rows = zip(*kept, *predicted, strict=True)
        objects: Any = (dict(zip(names, row, strict=True)) for row in rows)
        if block.records is not None:
            objects = (
                {**record, **answer} for record, answer in zip(block.records, objects, strict=True)
            )
        try:
            data = b"".join(
                orjson.dumps(item, default=_convert, option=_OPTIONS | orjson.OPT_APPEND_NEWLINE)
                for item in objects
            )
        except TypeError as error:
            raise RunFailed(f"the model's answers have no JSON form: {error}") from None
        return _packed(data, self._codec)

    def finish(self, part: Path) -> Path:
        return part


def dump(value: Any) -> bytes:
    """``value`` as JSON on one line; what has no JSON form is a text."""
    return orjson.dumps(value, default=_convert_any, option=_OPTIONS)


def _texts(values: Any) -> list[str]:
    """Each value as it stands in CSV, quoted where it must be."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        if not len(values):
            return []
        array = np.ascontiguousarray(values, np.float64 if values.dtype.kind == "f" else None)
        texts = orjson.dumps(array, option=_OPTIONS)[1:-1].decode().split(",")
        if array.dtype.kind == "f":
            for index in np.flatnonzero(~np.isfinite(array)).tolist():
                texts[index] = _not_finite(array[index])
        return texts
    return [_text(value) for value in listed(values)]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return _not_finite(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return _quoted(dump(value).decode())


def _not_finite(value: float) -> str:
    return "NaN" if value != value else ("inf" if value > 0 else "-inf")


def _quoted(text: str) -> str:
    if text and _SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _packed(data: bytes, codec: str) -> bytes:
    if codec == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if codec == "zstd":
        import pyarrow as pa

        return bytes(pa.Codec("zstd").compress(data, asbytes=True))
    return data


def _convert(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return value.tolist()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _convert_any(value: Any) -> Any:
    try:
        return _convert(value)
    except TypeError:
        return str(value)
