"""JSON at the door: strict in what is read, and able to write whatever a model answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from serinus_server.errors import MalformedRequest

MAX_DEPTH = 32
_WRITE_OPTIONS = orjson.OPT_NON_STR_KEYS


def read_json(body: bytes) -> Any:
    """The document in ``body``. NaN, Infinity and numbers beyond a double's range are no JSON.

    Raises:
        MalformedRequest: it is no JSON, or nested deeper than MAX_DEPTH.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is no valid JSON: {error}") from None
    level = [document] if isinstance(document, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return document
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is list or type(child) is dict
        ]
    if level:
        raise MalformedRequest(f"the body is nested deeper than {MAX_DEPTH} levels")
    return document


def write_json(document: Any) -> bytes:
    """``document`` as JSON; numbers that JSON lacks (NaN, Infinity) become null.

    Raises:
        TypeError: it holds something that has no JSON form.
    """
    return orjson.dumps(document, default=_convert, option=_WRITE_OPTIONS)


def predictions_of(values: Any) -> Any:
    """A model's answer as MLflow writes it: arrays as lists, tables as lists of records."""
    if isinstance(values, np.ndarray):
        return values.tolist()
    if hasattr(values, "to_frame"):  # a pandas Series
        values = values.to_frame()
    if hasattr(values, "to_dict"):  # a pandas DataFrame
        return values.to_dict(orient="records")
    if isinstance(values, Mapping):
        return {key: predictions_of(value) for key, value in values.items()}
    return values


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
    raise TypeError(f"the model answered with a {type(value).__name__}, which has no JSON form")
