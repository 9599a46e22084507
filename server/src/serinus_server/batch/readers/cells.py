"""Text cells as the values that a signature's type wants, or a reason for each cell that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

_NUMBERS = {
    "double": pa.float64(), "float": pa.float64(), "long": pa.int64(), "integer": pa.int64(),
}  # fmt: skip
# "3.0" is how tables with missing values write whole numbers; hexadecimal is for programs.
_WHOLE = r"^([+-]?[0-9]+)(\.0*)?$"


def convert(cells: pa.ChunkedArray, kind: str, name: str, bad: dict[int, str]) -> Any:
    """``cells`` as a NumPy array or a list; rows that are already in ``bad`` are passed over.

    Cells that are no value of the type ``kind`` are noted in ``bad``; whatever stands in their place
    is not to be used.
    """
    array = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    if kind in _NUMBERS:
        return _numbers(array, kind, name, bad)
    if kind == "boolean":
        found = _cast(pc.utf8_trim_whitespace(array), pa.bool_(), kind, name, bad)
        return found.to_pylist() if found.null_count else found.to_numpy(zero_copy_only=False)
    texts: list[str | None] = array.to_pylist()
    return (
        [_json(text, row, name, bad) for row, text in enumerate(texts)] if kind == "any" else texts
    )


def guess_type(cells: pa.ChunkedArray) -> str:
    """The type of a column that no signature describes: all numbers are ``double``."""
    texts = pc.drop_null(cells)
    for kind, arrow_type in (("double", pa.float64()), ("boolean", pa.bool_())):
        try:
            pc.cast(pc.utf8_trim_whitespace(texts), arrow_type)
        except pa.ArrowInvalid:
            continue
        return kind
    return "string"


def _numbers(array: Any, kind: str, name: str, bad: dict[int, str]) -> Any:
    arrow_type = _NUMBERS[kind]
    whole = pa.types.is_integer(arrow_type)
    try:
        found = None if whole and _has_hex(array) else pc.cast(array, arrow_type)
    except pa.ArrowInvalid:
        found = None
    if found is None:
        array = pc.utf8_trim_whitespace(array)
        if whole:
            array = pc.replace_substring_regex(array, _WHOLE, r"\1")
            array = pc.utf8_ltrim(array, "+")
        found = _cast(array, arrow_type, kind, name, bad)
    if not whole:
        return found.to_numpy(zero_copy_only=False)  # null is NaN
    if found.null_count:
        for row in np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False)).tolist():
            bad.setdefault(row, f"input {name!r}: is empty, but the signature wants {kind}")
        found = found.fill_null(0)
    return found.to_numpy()


def _has_hex(array: Any) -> bool:
    return bool(pc.any(pc.match_substring(array, "x", ignore_case=True)).as_py())


def _cast(array: Any, arrow_type: Any, kind: str, name: str, bad: dict[int, str]) -> Any:
    """``array`` as ``arrow_type``, cell by cell if need be; what cannot be is null, and in ``bad``."""
    hexadecimal = pa.types.is_integer(arrow_type) and _has_hex(array)
    try:
        if not hexadecimal:
            return pc.cast(array, arrow_type)
    except pa.ArrowInvalid:
        pass
    parse = _parser(arrow_type)
    values = []
    for row, text in enumerate(array.to_pylist()):
        value = None if text is None else parse(text)
        if value is None and text is not None:
            bad.setdefault(
                row, f"input {name!r}: {_short(text)} is no {kind}, which the signature wants"
            )
        values.append(value)
    return pa.array(values, arrow_type)


def _parser(arrow_type: Any) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if pa.types.is_integer(arrow_type) and "x" in text.lower():
            return None
        try:
            return pa.scalar(text).cast(arrow_type).as_py()
        except pa.ArrowInvalid:
            return None

    return parse


def _json(text: str | None, row: int, name: str, bad: dict[int, str]) -> Any:
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        bad.setdefault(row, f"input {name!r}: {_short(text or '')} is no JSON")
        return None


def _short(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else f"{text[:most]}...")
