"""What each protocol answers: predictions by the signature's outputs, and every error it has.

The errors' examples are written by the protocols' own codecs, so that they cannot say anything
else than the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serinus_server import contract, errors
from serinus_server.protocols.codec import Codec
from serinus_server.protocols.endpoint import Limits
from serinus_server.protocols.mlflow import ERROR_CODES
from serinus_server.protocols.openapi.values import Schema, cell, ref, tensor_array
from serinus_server.protocols.predict import ERROR_TYPES
from serinus_server.protocols.status import STATUS
from serinus_server.protocols.v2.datatypes import BYTES, DTYPES
from serinus_server.runtimes.base import Column, Signature, Tensor

_TEXT: Schema = {"type": "string"}

# What each error means to a client, in the words of the documentation.
_MEANINGS: Mapping[type[errors.RequestError], str] = {
    errors.MalformedRequest: "The body is not JSON, or not of the protocol's form.",
    errors.BodyTimeout: "The body did not arrive in time.",
    errors.RequestTooLarge: "The body has more bytes or values than the limit.",
    errors.UnsupportedMedia: "The content type or content encoding is not spoken here.",
    errors.InvalidInput: "A column, dtype or shape that the signature does not want.",
    errors.PredictionFailed: "The model raised. The server's log says why under the id.",
    errors.NotReady: "The model is not ready.",
    errors.Overloaded: "As many requests as the limit are in flight.",
    errors.PredictionTimeout: "No answer in time.",
}


def identity_headers() -> dict[str, Any]:
    """The headers that every outcome of a prediction request has."""
    return {
        contract.HEADER_REVISION: {
            "description": "The revision that answered.", "schema": _TEXT,
        },
        contract.HEADER_VERSION: {
            "description": "The model's version that answered.", "schema": _TEXT,
        },
        contract.HEADER_REQUEST_ID: {
            "description": "The request's own, if it had one.", "schema": _TEXT,
        },
    }  # fmt: skip


HEADERS = {name: {"$ref": f"#/components/headers/{name}"} for name in identity_headers()}


def components(signature: Signature) -> dict[str, Schema]:
    """The schemas of answers and errors."""
    return {
        "Predictions": predictions(signature),
        "OutputTensor": {
            "type": "object",
            "properties": {
                "name": _TEXT,
                "datatype": {"enum": [*DTYPES, BYTES]},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "data": {"type": "array", "description": "Row-major."},
                "parameters": {
                    "type": "object",
                    "properties": {"binary_data_size": {"type": "integer"}},
                },
            },
            "required": ["name", "datatype", "shape"],
        },
        "PredictError": _object(
            {
                "detail": {
                    "type": "array",
                    "items": _object(
                        {
                            "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                            "msg": _TEXT,
                            "type": {"enum": sorted(ERROR_TYPES.values())},
                        }
                    ),
                }
            }
        ),
        "MlflowError": _object(
            {"error_code": {"enum": sorted(set(ERROR_CODES.values()))}, "message": _TEXT}
        ),
        "V2Error": _object({"error": _TEXT}),
    }


def predictions(signature: Signature) -> Schema:
    """The model's answer, as `/predict` and MLflow write it. Outputs are declared, not enforced."""
    outputs = signature.outputs
    declared = signature.declared.get("outputs", ())
    tensors = [spec for spec in outputs if isinstance(spec, Tensor)]
    columns = [spec for spec in outputs if isinstance(spec, Column)]
    if len(tensors) == 1 and tensors[0].name is None:
        return tensor_array(tensors[0])
    if tensors:
        return _object({str(tensor.name): tensor_array(tensor) for tensor in tensors})
    if not columns or len(declared) != len(columns):
        return {"description": "The model declares no outputs."}
    cells = [cell(column, one) for column, one in zip(columns, declared, strict=True)]
    # A Series or a frame becomes records, a list or an array becomes values.
    names = [column.name for column in columns if column.name is not None]
    forms: list[Schema] = []
    if len(columns) == 1:
        forms.append({"type": "array", "items": cells[0]})
    if names:
        properties = dict(zip(names, cells, strict=True))
        record = {"type": "object", "properties": properties, "required": names}
        forms += [{"type": "array", "items": record}, {"type": "object"}]
    elif len(columns) == 1:
        record = {"type": "object", "additionalProperties": cells[0]}
        forms.append({"type": "array", "items": record})
    else:
        forms.append({"type": "array", "items": {"type": ["array", "object"]}})
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def predict_answer() -> Schema:
    """A whole answer of ``/predict``."""
    parts = {"predictions": ref("Predictions"), "model": _TEXT, "version": _TEXT, "revision": _TEXT}
    return _object(parts)


def mlflow_answer() -> Schema:
    """A whole answer of ``/invocations``."""
    return _object({"predictions": ref("Predictions")})


def v2_answer(model: str, version: str) -> Schema:
    """A whole answer of V2's ``infer``."""
    who: dict[str, Schema] = {"model_name": {"const": model}}
    if version:
        who["model_version"] = {"const": version}
    schema = _object({**who, "outputs": {"type": "array", "items": ref("OutputTensor")}})
    schema["properties"]["id"] = {**_TEXT, "description": "The request's, if it had one."}
    return schema


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the errors' examples say of this server."""

    limits: Limits
    max_concurrency: int


def error_responses(codec: Codec, schema: str, bounds: Bounds, field: str | None) -> dict[str, Any]:
    """By status, the errors of one protocol, with an example of each; ``field`` is an input."""
    responses: dict[str, Any] = {}
    for kind, meaning in _MEANINGS.items():
        response = responses.setdefault(
            str(STATUS[kind]),
            {
                "description": meaning,
                "headers": HEADERS,
                "content": {"application/json": {"schema": ref(schema), "examples": {}}},
            },
        )
        examples = response["content"]["application/json"]["examples"]
        if examples:
            response["description"] += f" {meaning}"
        body = json.loads(codec.error(_sample(kind, bounds, field)))
        examples[kind.__name__] = {"summary": meaning, "value": body}
        if kind is errors.Overloaded:
            response["headers"] = {
                **HEADERS,
                "Retry-After": {
                    "description": "Seconds to wait, where too many requests are in flight.",
                    "schema": {"type": "integer"},
                },
            }
    return responses


def _sample(
    kind: type[errors.RequestError], bounds: Bounds, field: str | None
) -> errors.RequestError:
    """One error of ``kind``, as this server would raise it."""
    limits = bounds.limits
    missing = "is missing, and the signature requires it"
    samples: tuple[errors.RequestError, ...] = (
        errors.MalformedRequest("the body must be an object"),
        errors.UnsupportedMedia("compressed request bodies are not supported"),
        errors.RequestTooLarge(limits.max_bytes),
        errors.BodyTimeout(limits.timeout),
        errors.InvalidInput(missing, field=field)
        if field is not None
        else errors.InvalidInput("there are no rows"),
        errors.PredictionFailed("0f3a9c1be2d4"),
        errors.NotReady("loading"),
        errors.Overloaded(bounds.max_concurrency),
        errors.PredictionTimeout(limits.timeout),
    )
    return next(error for error in samples if type(error) is kind)


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}
