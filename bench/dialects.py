"""How each server is asked for predictions, and how its answers are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serinus_server.protocols.grpc import open_inference_pb2

_DTYPES = {"INT64": "<i8", "FP64": "<f8"}
MODEL_NAME = "bench"

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask: ``encode`` makes a body of rows, ``decode`` the predictions of an answer."""

    path: str
    encode: Callable[[Rows], bytes]
    decode: Callable[[bytes], list[Any]]
    grpc: bool = False


def _v2(rows: Rows, **more: str) -> bytes:
    tensor = {
        "name": "input-0",
        "shape": [len(rows), len(rows[0])],
        "datatype": "FP64",
        "data": [value for row in rows for value in row],
    }
    return _dumps({"inputs": [tensor], **more})


def _v2_answer(body: bytes) -> list[Any]:
    (tensor,) = json.loads(body)["outputs"]
    data: list[Any] = tensor["data"]
    # Some servers answer one label per row as a column, which is the same numbers.
    if [size for size in tensor["shape"] if size != 1] != [
        size for size in [len(data)] if size != 1
    ]:
        raise ValueError(f"{len(data)} values of shape {tensor['shape']}")
    return data


def _grpc(rows: Rows) -> bytes:
    request = open_inference_pb2.ModelInferRequest(model_name=MODEL_NAME, id="1")
    tensor = request.inputs.add(name="input-0", datatype="FP64", shape=[len(rows), len(rows[0])])
    tensor.contents.fp64_contents.extend(value for row in rows for value in row)
    message: bytes = request.SerializeToString()
    return message


def _grpc_answer(message: bytes) -> list[Any]:
    answer = open_inference_pb2.ModelInferResponse.FromString(message)
    (tensor,) = answer.outputs
    if answer.raw_output_contents:
        raw = answer.raw_output_contents[0]
        return list(np.frombuffer(raw, _DTYPES[tensor.datatype]).tolist())
    (values,) = (values for _, values in tensor.contents.ListFields())
    return list(values)


def _predictions(body: bytes) -> list[Any]:
    predictions: list[Any] = json.loads(body)["predictions"]
    return predictions


def _plain(body: bytes) -> list[Any]:
    predictions: list[Any] = json.loads(body)
    return predictions


def _dumps(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


V2 = Dialect(f"/v2/models/{MODEL_NAME}/infer", _v2, _v2_answer)
# With an id, servers need not make one up, and answer the same bytes each time.
V2_WITH_ID = Dialect(V2.path, lambda rows: _v2(rows, id="1"), _v2_answer)
GRPC = Dialect("/inference.GRPCInferenceService/ModelInfer", _grpc, _grpc_answer, grpc=True)
V1 = Dialect(
    f"/v1/models/{MODEL_NAME}:predict", lambda rows: _dumps({"instances": rows}), _predictions
)
ROWS = Dialect("/predict", lambda rows: _dumps({"rows": rows}), _predictions)
PLAIN = Dialect("/predict", lambda rows: _dumps({"rows": rows}), _plain)
INPUTS = Dialect("/invocations", lambda rows: _dumps({"inputs": rows}), _predictions)


def split(columns: Sequence[str]) -> Dialect:
    """MLflow's ``dataframe_split``: the names once, then the rows."""
    return Dialect(
        "/invocations",
        lambda rows: _dumps({"dataframe_split": {"columns": columns, "data": rows}}),
        _predictions,
    )
