"""MLflow's scoring protocol: ``POST /invocations`` with JSON or CSV."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from serinus_server import errors
from serinus_server.errors import InvalidInput, MalformedRequest
from serinus_server.protocols.codec import Answer, Question, Request
from serinus_server.protocols.json import MAX_ELEMENTS, read_json, write_json, write_predictions
from serinus_server.runtimes.base import Column, Signature
from serinus_server.service.model import ServedModel
from serinus_server.service.payload import (
    Array,
    Columns,
    NamedArrays,
    Payload,
    Prediction,
    Records,
    Split,
)

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"

# MLflow's own words for what went wrong.
ERROR_CODES: Mapping[type[errors.RequestError], str] = {
    errors.MalformedRequest: "BAD_REQUEST",
    errors.UnsupportedMedia: "BAD_REQUEST",
    errors.RequestTooLarge: "BAD_REQUEST",
    errors.BodyTimeout: "BAD_REQUEST",
    errors.UnknownModel: "RESOURCE_DOES_NOT_EXIST",
    errors.InvalidInput: "INVALID_PARAMETER_VALUE",
    errors.NotReady: "TEMPORARILY_UNAVAILABLE",
    errors.Overloaded: "TEMPORARILY_UNAVAILABLE",
    errors.PredictionTimeout: "DEADLINE_EXCEEDED",
    errors.PredictionFailed: "INTERNAL_ERROR",
}

_DICT = {dict}
_LIST = {list}
_STR = {str}


class MlflowCodec:
    """MLflow's scoring protocol."""

    name = "mlflow"

    def __init__(self, max_elements: int = MAX_ELEMENTS) -> None:
        self._max_elements = max_elements

    def decode(self, model: ServedModel, request: Request) -> Question:
        content_type = request.content_type
        if content_type != JSON_TYPE and _media_type(content_type) == CSV_TYPE:
            return Question(_read_csv(request.body, model.signature))
        document = read_json(request.body, self._max_elements)
        return Question(*_read_document(document, model.signature))

    def encode(self, model: ServedModel, question: Question, prediction: Prediction) -> Answer:
        return Answer(b'{"predictions":%s}' % write_predictions(prediction.values))

    def error(self, error: errors.RequestError) -> bytes:
        return write_json({"error_code": ERROR_CODES[type(error)], "message": str(error)})


def _media_type(content_type: str) -> str:
    """The body's type; nothing said means JSON, as curl users expect."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media_type not in ("", JSON_TYPE, CSV_TYPE):
        raise errors.UnsupportedMedia(
            f"content type {media_type!r} is not supported; send {JSON_TYPE} or {CSV_TYPE}"
        )
    for parameter in parameters:
        if parameter.replace('"', "") not in ("", "charset=utf-8"):
            raise errors.UnsupportedMedia(f"{parameter!r} is not supported; send UTF-8")
    return media_type


def _read_document(document: Any, signature: Signature) -> tuple[Payload, dict[str, Any] | None]:
    if not isinstance(document, dict):
        raise MalformedRequest(f"the body must be an object with exactly one of {', '.join(FORMS)}")
    if len(document) == 1:
        ((form, value),) = document.items()
        if form in _READERS:
            return _READERS[form](value, signature), None
    forms = [form for form in FORMS if form in document]
    others = sorted(document.keys() - {*FORMS, "params"})
    if len(forms) != 1 or others:
        raise MalformedRequest(
            f"the body must have exactly one of {', '.join(FORMS)}, and optionally params; "
            f"it has {', '.join(sorted(document)) or 'nothing'}"
        )
    params = document.get("params")
    if params is not None and not isinstance(params, dict):
        raise MalformedRequest("params must be an object")
    form = forms[0]
    return _READERS[form](document[form], signature), params


def _read_split(value: Any, signature: Signature) -> Payload:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise MalformedRequest("dataframe_split must be an object with the array data")
    if others := sorted(value.keys() - {"columns", "data", "index"}):
        raise MalformedRequest(f"dataframe_split has unknown keys: {', '.join(others)}")
    rows = value["data"]
    if not set(map(type, rows)) <= _LIST:
        number = next(number for number, row in enumerate(rows) if type(row) is not list)
        raise MalformedRequest(f"dataframe_split: row {number} of data is no array")
    index = value.get("index")
    if index is not None and not (isinstance(index, list) and len(index) == len(rows)):
        raise MalformedRequest(f"dataframe_split: index must be an array of {len(rows)} labels")
    columns = value.get("columns")
    if columns is None:
        return _unnamed(rows, signature)
    if not isinstance(columns, list):
        raise MalformedRequest("dataframe_split: columns must be an array of distinct names")
    named = set(map(type, columns)) == _STR
    names = columns if named else list(map(str, columns))
    if len(set(names)) != len(names):
        raise MalformedRequest("dataframe_split: columns must be an array of distinct names")
    if not set(map(len, rows)) <= {len(names)}:
        number = next(number for number, row in enumerate(rows) if len(row) != len(names))
        raise InvalidInput(
            f"has {len(rows[number])} values, but columns has {len(names)} names", row=number
        )
    # pandas' names for columns that have none
    if not named and columns == list(range(len(columns))):
        return _unnamed(rows, signature)
    return Split(names, rows)


def _unnamed(rows: list[list[Any]], signature: Signature) -> Payload:
    """A table without names: rows for columns, which have positions, and a table for all else."""
    columns = bool(signature.inputs) and isinstance(signature.inputs[0], Column)
    if columns or signature.checked_by_model or len(set(map(len, rows))) != 1:
        return Array(rows)
    return Split(range(len(rows[0])), rows)


def _read_records(value: Any, _signature: Signature) -> Payload:
    if not isinstance(value, list) or not set(map(type, value)) <= _DICT:
        raise MalformedRequest("dataframe_records must be an array of objects")
    return Records(value)


def _read_instances(value: Any, signature: Signature) -> Payload:
    if isinstance(value, list) and value and type(value[0]) is dict:
        if set(map(type, value)) != _DICT:
            number = next(number for number, row in enumerate(value) if type(row) is not dict)
            raise MalformedRequest(f"instances: row {number} is no object as row 0 is")
        records = Records(value)
        if _is_open(signature):
            return NamedArrays(records.split().columns().values)
        return records
    if isinstance(value, dict):
        return _read_inputs(value, signature)
    if not isinstance(value, list):
        raise MalformedRequest("instances must be an array")
    return Array(value)


def _read_inputs(value: Any, signature: Signature) -> Payload:
    if isinstance(value, dict):
        if _is_open(signature):
            return NamedArrays(value)
        return Records([value]) if _is_record(value, signature) else Columns(value)
    if isinstance(value, list):
        if value and type(value[0]) is dict and _is_open(signature):
            return _read_records(value, signature)
        return _read_instances(value, signature)
    if value is not None and _is_open(signature):
        return Array(value)
    inputs = signature.inputs
    if len(inputs) == 1 and isinstance(inputs[0], Column) and inputs[0].name is None:
        return Array([value])
    raise MalformedRequest("inputs must be an array or an object")


def _is_open(signature: Signature) -> bool:
    """Whether nothing but the request's form tells what the model takes."""
    return not signature.inputs and not signature.checked_by_model


def _is_record(value: dict[str, Any], signature: Signature) -> bool:
    """Whether an object holds one record, and not columns: where nested cells leave it open."""
    nested = {spec.name for spec in signature.inputs if isinstance(spec, Column) and spec.nested}
    lists = [isinstance(item, list) for name, item in value.items() if name not in nested]
    return bool(value) and not any(lists)


_READERS = {
    "dataframe_split": _read_split,
    "dataframe_records": _read_records,
    "instances": _read_instances,
    "inputs": _read_inputs,
}


def _read_csv(body: bytes, signature: Signature) -> Payload:
    import pandas as pd

    columns = [spec for spec in signature.inputs if isinstance(spec, Column)]
    texts = {spec.name: str for spec in columns if spec.type not in _NUMERIC and spec.name}
    try:
        frame = pd.read_csv(io.BytesIO(body), dtype=texts)
    except (ValueError, UnicodeDecodeError) as error:  # ParserError is a ValueError
        reason = str(error).splitlines()[0] if str(error) else "it cannot be read"
        raise MalformedRequest(f"the body is no valid CSV with a header: {reason}") from None
    values = {str(name): _csv_column(str(name), frame[name]) for name in frame.columns}
    if columns and columns[0].name is None:
        lists = [v.tolist() if isinstance(v, np.ndarray) else v for v in values.values()]
        return Array(list(map(list, zip(*lists, strict=True))))
    return Columns(values)


_NUMERIC = frozenset({"integer", "long", "float", "double", "boolean"})


def _csv_column(name: str, series: Any) -> Any:
    if series.dtype.kind in "iuf":
        array = series.to_numpy()
        if np.isinf(array).any():
            raise MalformedRequest(f"the CSV column {name!r} holds an infinite number")
        return array
    return [None if value != value else value for value in series.tolist()]
