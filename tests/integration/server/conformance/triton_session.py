"""A session of Triton's own client with one server; prints what it got, as one JSON document.

Runs in the environment that has the client: ``python triton_session.py PORT GRPC_PORT``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException

MODEL = "churn"
QUESTION: dict[str, tuple[str, np.ndarray[Any, Any]]] = {
    "whole": ("INT64", np.array([[1], [-(2**53) - 1], [2**63 - 1]], np.int64)),
    "double": ("FP64", np.array([[0.1], [-1e308], [5e-324]], np.float64)),
    "single": ("FP32", np.array([[0.1], [3.4e38], [-0.0]], np.float32)),
    "word": ("BYTES", np.array([["Tromsø"], [""], ["日本"]], object)),
}


def inputs_of(api: Any, how: dict[str, Any], names: list[str]) -> list[Any]:
    tensors = []
    for name in names:
        datatype, values = QUESTION[name]
        tensor = api.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, **how)
        tensors.append(tensor)
    return tensors


def told(result: Any, names: list[str]) -> dict[str, Any]:
    """Type, shape and values of the outputs; values as they print, which is exact."""
    outputs = {}
    for name in names:
        array = result.as_numpy(name)
        if array is None:
            outputs[name] = None
            continue
        if array.dtype == object:
            values = [v.decode() if isinstance(v, bytes) else v for v in array.ravel()]
        else:
            values = [repr(value) for value in array.ravel().tolist()]
        outputs[name] = [str(array.dtype), list(array.shape), values]
    return outputs


def refusal(call: Any) -> list[str | None]:
    """Status and message of the client's exception."""
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError("the server did not refuse")


def session(api: Any, client: Any, how: dict[str, Any], wants: dict[str, Any]) -> dict[str, Any]:
    """One server asked in one way: ``how`` inputs are sent, and what is said of the outputs."""
    every, wanted = list(QUESTION), ["single", "word"]
    as_json = {"as_json": True} if api is over_grpc else {}
    outputs = [api.InferRequestedOutput(name, **wants) for name in wanted]
    asked = inputs_of(api, how, every)
    short = inputs_of(api, how, every[1:])
    everything = client.infer(MODEL, asked, request_id="one")
    some = client.infer(MODEL, asked, outputs=outputs)
    unknown = [api.InferRequestedOutput("price", **wants)]
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready(MODEL),
        "server": client.get_server_metadata(**as_json),
        "model": client.get_model_metadata(MODEL, **as_json),
        "id": (everything.get_response(**as_json))["id"],
        "answer": told(everything, every),
        "some": told(some, every),  # None for what did not come
        "no such model": refusal(lambda: client.infer("other", asked)),
        "input missing": refusal(lambda: client.infer(MODEL, short)),
        "no such output": refusal(lambda: client.infer(MODEL, asked, outputs=unknown)),
    }


def main(port: str, grpc_port: str) -> None:
    web = over_http.InferenceServerClient(f"127.0.0.1:{port}")
    rpc = over_grpc.InferenceServerClient(f"127.0.0.1:{grpc_port}")
    text, raw = {"binary_data": False}, {"binary_data": True}
    report = {
        "json": session(over_http, web, text, text),
        "binary": session(over_http, web, raw, raw),
        "grpc": session(over_grpc, rpc, {}, {}),
    }
    web.close()
    rpc.close()
    print(json.dumps(report))  # noqa: T201 - it is a command


if __name__ == "__main__":
    main(*sys.argv[1:])
