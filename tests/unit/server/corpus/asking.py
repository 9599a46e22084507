"""How a model of the corpus is asked, and how its answers are held against MLflow's."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx2
import numpy as np
import pandas as pd

from .entry import Given

V2_PATH = "/v2/models/churn/infer"
_DATATYPES = {
    "f8": "FP64", "f4": "FP32", "f2": "FP16", "i8": "INT64", "i4": "INT32", "b1": "BOOL",
}  # fmt: skip


def invocation(given: Given) -> dict[str, Any]:
    """The body that asks ``given`` in MLflow's protocol."""
    if isinstance(given, pd.DataFrame):
        return {"dataframe_split": given.to_dict("split")}
    if isinstance(given, dict):
        return {"inputs": {name: array.tolist() for name, array in given.items()}}
    return {"inputs": given.tolist() if isinstance(given, np.ndarray) else given}


def expected_json(answer: Any) -> Any:
    """MLflow's own scoring server's JSON of an answer."""
    from mlflow.pyfunc.scoring_server import predictions_to_json

    text = io.StringIO()
    predictions_to_json(answer, text)
    return json.loads(text.getvalue())


def tensors_asked(given: Given) -> list[dict[str, Any]]:
    """The inputs that ask ``given`` in the Open Inference Protocol."""
    if isinstance(given, pd.DataFrame):
        given = {str(name): given[name].to_numpy() for name in given.columns}
    if isinstance(given, np.ndarray):
        given = {"given": given}
    assert isinstance(given, dict)
    return [
        {
            "name": name,
            "datatype": _DATATYPES.get(array.dtype.str[1:], "BYTES"),
            "shape": array.shape,
            "data": array.ravel().tolist(),
        }
        for name, array in given.items()
    ]


def tensors_answered(response: httpx2.Response) -> dict[str, np.ndarray[Any, Any]]:
    """The outputs of a binary answer in the Open Inference Protocol, by name."""
    body = response.content
    end = int(response.headers["inference-header-content-length"])
    arrays = {}
    for output in json.loads(body[:end])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        raw, end = body[end : end + size], end + size
        arrays[output["name"]] = _array(raw, output["datatype"]).reshape(output["shape"])
    assert end == len(body)
    return arrays


def _array(raw: bytes, datatype: str) -> np.ndarray[Any, Any]:
    if datatype != "BYTES":
        names = {name: code for code, name in _DATATYPES.items()}
        return np.frombuffer(raw, names[datatype] if datatype != "BOOL" else "?")
    words = []
    while raw:
        size = int.from_bytes(raw[:4], "little")
        words.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    return np.array(words, object)


def expected_tensors(answer: Any) -> list[np.ndarray[Any, Any]]:
    """MLflow's answer as arrays: columns of a table, values of a dict, or the one that it is."""
    if isinstance(answer, pd.DataFrame):
        return [answer[name].to_numpy() for name in answer.columns]
    if isinstance(answer, dict):
        return [np.asarray(value) for value in answer.values()]
    return [np.asarray(answer)]


def same_bits(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays have the same type, the same shape and the same bits."""
    words = one.dtype.kind not in "fiub"
    if words or other.dtype.kind not in "fiub":
        return one.shape == other.shape and [*map(str, one.ravel())] == [*map(str, other.ravel())]
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
    )
