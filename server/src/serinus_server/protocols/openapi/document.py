"""The OpenAPI document of one served model: its own fields, in every protocol's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serinus_server.protocols.codec import Codec
from serinus_server.protocols.mlflow import CSV_TYPE, JSON_TYPE, MlflowCodec
from serinus_server.protocols.openapi import answers
from serinus_server.protocols.openapi.answers import HEADERS, Bounds
from serinus_server.protocols.openapi.asked import Wanted
from serinus_server.protocols.openapi.examples import Examples
from serinus_server.protocols.openapi.params import params_schema
from serinus_server.protocols.openapi.status_paths import status_paths
from serinus_server.protocols.openapi.values import Schema, ref
from serinus_server.protocols.predict import PredictCodec
from serinus_server.protocols.v2 import V2Codec
from serinus_server.service.model import ServedModel

PREDICT, MLFLOW, V2, STATUS = "Predict", "MLflow", "Open Inference V2", "Health and metrics"


def document(
    model: ServedModel, wanted: Wanted, examples: Examples, bounds: Bounds, version: str
) -> dict[str, Any]:
    """The document, as JSON values; ``version`` is the server's."""
    identity = model.identity
    params = params_schema(model.signature.declared.get("params", ()))
    schemas = {**wanted.components, **answers.components(model.signature)}
    schemas |= {
        "PredictAnswer": answers.predict_answer(),
        "MlflowAnswer": answers.mlflow_answer(),
        "V2Answer": answers.v2_answer(identity.model, identity.version),
    }
    if params is not None:
        schemas["Params"] = params
    field = next((spec.name for spec in model.signature.inputs if spec.name is not None), None)

    def errors_of(codec: Codec, schema: str) -> dict[str, Any]:
        return answers.error_responses(codec, schema, bounds, field)

    paths: dict[str, Any] = {}
    if wanted.predict is not None:
        paths["/predict"] = {
            "post": _predict(wanted.predict, examples, errors_of(PredictCodec(), "PredictError"))
        }
    paths["/invocations"] = {
        "post": _invocations(
            wanted, examples, params is not None, errors_of(MlflowCodec(), "MlflowError")
        )
    }
    if wanted.tensors is not None:
        schemas["V2Request"] = _v2_request(wanted.tensors, params, examples)
        base = f"/v2/models/{identity.model}"
        failures = errors_of(V2Codec(), "V2Error")
        paths[f"{base}/infer"] = {"post": _infer("infer", examples, failures)}
        if identity.version:
            versioned = _infer("inferVersion", examples, failures)
            paths[f"{base}/versions/{identity.version}/infer"] = {"post": versioned}
    more_paths, more_schemas = status_paths(model)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": identity.model,
            "version": identity.version or "unversioned",
            "description": _description(model, version),
        },
        # Relative to this document, because a route may have put a prefix before all paths.
        "servers": [{"url": "."}],
        "tags": [{"name": name} for name in (PREDICT, MLFLOW, V2, STATUS)],
        "paths": paths | more_paths,
        "components": {"schemas": schemas | more_schemas, "headers": answers.identity_headers()},
    }


def _description(model: ServedModel, version: str) -> str:
    revision = model.identity.revision
    parts = [
        f"A model of MLflow's flavour {model.runtime.flavor}",
        f", revision {revision}" if revision else "",
        f", served by serinus {version}.",
    ]
    return "".join(parts)


def _predict(body: Schema, examples: Examples, failures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "predict",
        "tags": [PREDICT],
        "summary": "Predict for one record, or for a list of them",
        "requestBody": _body({JSON_TYPE: _media(body, examples.requests.get("predict", {}))}),
        "responses": {
            "200": _answer("PredictAnswer", examples.answers.get("predict")),
            **failures,
        },
    }


def _invocations(
    wanted: Wanted, examples: Examples, has_params: bool, failures: Mapping[str, Any]
) -> dict[str, Any]:
    params: dict[str, Schema] = {"params": ref("Params")} if has_params else {}
    forms: list[Schema] = [
        {
            "type": "object",
            "title": form,
            "properties": {form: schema, **params},
            "required": [form],
            "additionalProperties": False,
        }
        for form, schema in wanted.forms.items()
    ]
    content = {JSON_TYPE: _media({"oneOf": forms}, examples.requests.get("mlflow", {}))}
    if wanted.csv:
        csv: dict[str, Any] = {
            "schema": {
                "type": "string",
                "minLength": 1,
                "description": "With a header; an empty cell is missing.",
            }
        }
        if examples.csv is not None:
            csv["example"] = examples.csv
        content[CSV_TYPE] = csv
    return {
        "operationId": "invocations",
        "tags": [MLFLOW],
        "summary": "MLflow's scoring protocol",
        "requestBody": _body(content),
        "responses": {
            "200": _answer("MlflowAnswer", examples.answers.get("mlflow")),
            **failures,
        },
    }


def _v2_request(tensors: Schema, params: Schema | None, examples: Examples) -> Schema:
    binary: Schema = {
        "type": "boolean",
        "description": "Whether the outputs come in binary behind the JSON.",
    }
    declared = {} if params is None else params["properties"]
    output: Schema = {"type": "string"}
    if answered := examples.answers.get("v2"):  # what the model answered tells its outputs' names
        output = {"enum": [tensor["name"] for tensor in answered["outputs"]]}
    return {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"], "description": "Sent back with the answer."},
            "inputs": tensors,
            "outputs": {
                "type": ["array", "null"],
                "description": "The outputs to answer with; all, if there are none here.",
                "items": {
                    "type": "object",
                    "properties": {"name": output},
                    "required": ["name"],
                },
            },
            "parameters": {
                "type": ["object", "null"],
                "properties": {**declared, "binary_data_output": binary},
                "additionalProperties": False,
            },
        },
        "required": ["inputs"],
    }


def _infer(operation: str, examples: Examples, failures: Mapping[str, Any]) -> dict[str, Any]:
    answer = _answer("V2Answer", examples.answers.get("v2"))
    answer["content"]["application/octet-stream"] = {}  # where outputs were wanted in binary
    answer["headers"] = {
        **HEADERS,
        "Inference-Header-Content-Length": {
            "description": "Bytes of the JSON, where outputs are in binary behind it.",
            "schema": {"type": "integer"},
        },
    }
    return {
        "operationId": operation,
        "tags": [V2],
        "summary": "Infer from tensors",
        "description": "Tensors may also come in binary behind the JSON, whose length is then in "
        "the header Inference-Header-Content-Length.",
        "requestBody": _body(
            {JSON_TYPE: _media(ref("V2Request"), examples.requests.get("v2", {}))}
        ),
        "responses": {
            "200": answer,
            **failures,
        },
    }


def _body(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": dict(content)}


def _media(schema: Schema, examples: Mapping[str, Any]) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": schema}
    if examples:
        media["examples"] = {
            title.replace(" ", "_"): {"summary": title, "value": body}
            for title, body in examples.items()
        }
    return media


def _answer(schema: str, example: Any | None) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": ref(schema)}
    if example is not None:
        media["example"] = example
    return {
        "description": "The model's answer.",
        "headers": HEADERS,
        "content": {JSON_TYPE: media},
    }
