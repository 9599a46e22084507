"""JSON at the door: strict in what is read, and able to write whatever a model answers.

The parser knows no limit of depth or size, and keeps the last of two equal keys. What it lets
through is held against counts of bytes, which for usual requests are all that it takes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from serinus_server import contract
from serinus_server.errors import MalformedRequest, RequestTooLarge

MAX_DEPTH = 32
MAX_ELEMENTS = contract.DEFAULT_MAX_ELEMENTS

_WRITE_OPTIONS = orjson.OPT_NON_STR_KEYS
_LONG = 1500  # bytes, from which on numpy counts faster than bytes.count
_FEW = 16  # values, for which a list is quicker than orjson's own way into numpy
_DOUBLE = np.dtype(np.float64)


def read_json(body: bytes, max_elements: int = MAX_ELEMENTS) -> Any:
    """The document in ``body``. NaN, Infinity and numbers beyond a double's range are no JSON.

    Raises:
        MalformedRequest: it is no JSON, nested deeper than MAX_DEPTH, or names a key twice.
        RequestTooLarge: it has more than ``max_elements`` values, by its commas and brackets.
    """
    if len(body) > max_elements and _elements(body) > max_elements:
        raise RequestTooLarge(max_elements, "values")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is no valid JSON: {error}") from None
    if type(document) is dict or type(document) is list:
        _check(document, body)
    return document


def write_json(document: Any) -> bytes:
    """``document`` as JSON; numbers that JSON lacks (NaN, Infinity) become null.

    Raises:
        TypeError: it holds something that has no JSON form.
    """
    return orjson.dumps(document, default=_convert, option=_WRITE_OPTIONS)


def write_predictions(values: Any) -> bytes:
    """A model's answer as MLflow writes it: arrays as lists, tables as lists of records.

    Raises:
        TypeError: it holds something that has no JSON form.
    """
    if type(values) is np.ndarray and values.dtype.kind in "fiub":
        return _write_numbers(values)
    return write_json(predictions_of(values))


def predictions_of(values: Any) -> Any:
    """A model's answer in the form that ``write_predictions`` writes."""
    if isinstance(values, np.ndarray):
        return values.tolist()
    if hasattr(values, "to_frame"):  # a pandas Series
        values = values.to_frame()
    if hasattr(values, "to_dict"):  # a pandas DataFrame
        return _records(values)
    if isinstance(values, Mapping):
        return {key: predictions_of(value) for key, value in values.items()}
    return values


def _write_numbers(array: npt.NDArray[Any]) -> bytes:
    """The bytes of ``array.tolist()``, where every number has the digits of a double."""
    if array.size <= _FEW:
        return write_json(array.tolist())
    if array.dtype.itemsize > _DOUBLE.itemsize:
        return write_json(array.tolist())
    dtype = _DOUBLE if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    array = np.ascontiguousarray(array, dtype=dtype)
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)


def _records(frame: Any) -> list[dict[Any, Any]]:
    """``frame.to_dict("records")``, in a fraction of its time."""
    names = list(frame.columns)
    if len(set(names)) != len(names) or not names:
        records: list[dict[Any, Any]] = frame.to_dict(orient="records")
        return records
    columns = [frame[name].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _check(document: dict[str, Any] | list[Any], body: bytes) -> None:
    """Whether ``document`` is nested too deeply or has a key twice.

    Every container has a bracket in ``body`` and every key a colon; strings can only have more.
    So the walk ends where the containers still unseen cannot reach too deep, and as many keys
    were seen as there are colons.
    """
    colons = _count(body, b":")
    unseen = _openings(body)
    keys = depth = 0
    seen: list[Any] = []
    level: Sequence[Any] = [document]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise MalformedRequest(f"the body is nested deeper than {MAX_DEPTH} levels")
        unseen -= len(level)
        for container in level:
            if type(container) is dict:
                keys += len(container)
        if keys == colons and depth + unseen <= MAX_DEPTH:
            return
        seen += level
        level = _children(level) if unseen else ()
    if keys + _colons_in_strings(seen) != colons or b"\\u003" in body:
        _refuse_duplicates(body)


def _children(level: Iterable[Any]) -> list[Any]:
    return [
        child
        for parent in level
        for child in (parent.values() if type(parent) is dict else parent)
        if type(child) is list or type(child) is dict
    ]


def _colons_in_strings(containers: Iterable[Any]) -> int:
    colons = 0
    for container in containers:
        values = container
        if type(container) is dict:
            colons += "".join(container).count(":")
            values = container.values()
        colons += sum(value.count(":") for value in values if type(value) is str)
    return colons


def _refuse_duplicates(body: bytes) -> None:
    """Parse once more, slowly, to see each key."""

    def look(pairs: list[tuple[str, Any]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise MalformedRequest(f"the body names the key {name[:100]!r} twice in one object")
            names.add(name)

    json.loads(body.decode(), object_pairs_hook=look)


def _openings(body: bytes) -> int:
    """Opening brackets, those in strings included; they are mostly near the body's beginning."""
    last = max(body.rfind(b"["), body.rfind(b"{")) + 1
    if last > _LONG:
        return _count(body, b"[") + _count(body, b"{")
    return body.count(b"[", 0, last) + body.count(b"{", 0, last)


def _elements(body: bytes) -> int:
    return _count(body, b",") + _count(body, b"[") + _count(body, b"{")


def _count(body: bytes, character: bytes) -> int:
    if len(body) < _LONG:
        return body.count(character)
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == character[0]))


def _convert(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if hasattr(value, "isoformat"):  # pandas' Timestamp and NaT, which does not equal itself
        return value.isoformat() if value == value else None
    if type(value).__name__ == "NAType":  # pandas' NA, the missing value of its own dtypes
        return None
    raise TypeError(f"the model answered with a {type(value).__name__}, which has no JSON form")
