"""The paths that tell about the server and the model, and predict nothing."""

from __future__ import annotations

from typing import Any

from serinus_server import contract
from serinus_server.protocols.openapi.values import Schema, ref
from serinus_server.protocols.v2 import EXTENSIONS, model_metadata
from serinus_server.protocols.v2.datatypes import BYTES, DTYPES
from serinus_server.service.lifecycle import State
from serinus_server.service.model import ServedModel

_V2, _MLFLOW, _STATUS = "Open Inference V2", "MLflow", "Health and metrics"
_TEXT: Schema = {"type": "string"}


def status_paths(model: ServedModel) -> tuple[dict[str, Any], dict[str, Schema]]:
    """Paths and schemas of health, metadata, versions and metrics."""
    identity = model.identity
    base = f"/v2/models/{identity.model}"
    metadata = model_metadata(model)
    paths = {
        "/v2": _get(_V2, "serverMetadata", "The server", {"200": _json("ServerMetadata")}),
        contract.PATH_LIVE: _get(
            _V2, "live", "Whether the process is well",
            {"200": _json("Live"), "503": _json("Live", "It is not.")},
        ),
        contract.PATH_READY: _ready("ready"),
        base: _metadata("modelMetadata", metadata),
        f"{base}/ready": _ready("modelReady"),
    }  # fmt: skip
    if identity.version:
        paths[f"{base}/versions/{identity.version}"] = _metadata("versionMetadata", metadata)
        paths[f"{base}/versions/{identity.version}/ready"] = _ready("versionReady")
    for path in ("/ping", "/health"):
        paths[path] = _get(
            _MLFLOW, path[1:], "Whether the model is ready",
            {
                "200": {"description": "It is. The body is an empty line."},
                "503": {"description": "It is not. The body is an empty line."},
            },
        )  # fmt: skip
    paths["/version"] = _get(_MLFLOW, "version", "MLflow's version", {"200": _plain()})
    paths[contract.PATH_METRICS] = _get(_STATUS, "metrics", "Prometheus", {"200": _plain()})
    return paths, _schemas()


def _schemas() -> dict[str, Schema]:
    tensor: Schema = {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "datatype": {"enum": [*DTYPES, BYTES]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
        },
        "required": ["name", "datatype", "shape"],
    }
    return {
        "ServerMetadata": _object(
            name=_TEXT,
            version=_TEXT,
            extensions={"type": "array", "items": {"enum": list(EXTENSIONS)}},
        ),
        "Live": _object(live={"type": "boolean"}),
        "Ready": _object(
            ready={"type": "boolean"}, state={"enum": [str(state) for state in State]}
        ),
        "ModelMetadata": _object(
            name=_TEXT,
            versions={"type": "array", "items": _TEXT},
            platform=_TEXT,
            inputs={"type": "array", "items": ref("TensorMetadata")},
            outputs={"type": "array", "items": ref("TensorMetadata")},
        ),
        "TensorMetadata": tensor,
    }


def _ready(operation: str) -> dict[str, Any]:
    responses = {"200": _json("Ready"), "503": _json("Ready", "It is not.")}
    return _get(_V2, operation, "Whether the model is ready", responses)


def _metadata(operation: str, example: Any) -> dict[str, Any]:
    answer = _json("ModelMetadata")
    answer["content"]["application/json"]["example"] = example
    error = _json("V2Error", "The model is not ready.")
    return _get(_V2, operation, "The model and its tensors", {"200": answer, "503": error})


def _get(tag: str, operation: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    method = {"operationId": operation, "tags": [tag], "summary": summary, "responses": responses}
    return {"get": method}


def _json(schema: str, description: str = "The answer.") -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": ref(schema)}}}


def _plain() -> dict[str, Any]:
    return {"description": "The answer.", "content": {"text/plain": {"schema": _TEXT}}}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
