"""Open Inference Protocol, version 2, over REST: its tensors and its metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serinus_server import errors
from serinus_server.errors import InvalidInput, MalformedRequest
from serinus_server.protocols.codec import Answer, Question, Request
from serinus_server.protocols.json import read_json, write_json
from serinus_server.runtimes.base import Column, Tensor
from serinus_server.service.convert import to_numbers
from serinus_server.service.model import Identity, ServedModel
from serinus_server.service.payload import Array, Columns, Payload, Prediction

_DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}
_DATATYPES = {dtype: name for name, dtype in _DTYPES.items()}
_COLUMN_DATATYPES = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64",
}  # fmt: skip
DEFAULT_OUTPUT = "output-0"


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What a request says about the form of its answer."""

    id: Any
    outputs: list[str] | None  # None: all


class V2Codec:
    """Inference requests and answers of the V2 protocol."""

    name = "v2"

    def decode(self, model: ServedModel, request: Request) -> Question:
        check_names(model.identity, request.path)
        document = read_json(request.body)
        if not isinstance(document, dict):
            raise MalformedRequest("the body must be an object")
        return Question(
            _payload(document, model),
            _parameters(document),
            _Wishes(document.get("id"), _requested_outputs(document)),
        )

    def encode(self, model: ServedModel, question: Question, prediction: Prediction) -> Answer:
        wishes: _Wishes = question.context
        outputs = list(_outputs(prediction.values, model))
        if wishes.outputs is not None:
            by_name = {output["name"]: output for output in outputs}
            for name in wishes.outputs:
                if name not in by_name:
                    raise InvalidInput(
                        f"is no output of this model, which has {', '.join(by_name)}", field=name
                    )
            outputs = [by_name[name] for name in wishes.outputs]
        answer: dict[str, Any] = {"model_name": model.identity.model, "outputs": outputs}
        if model.identity.version:
            answer["model_version"] = model.identity.version
        if isinstance(wishes.id, str):
            answer["id"] = wishes.id
        return Answer(write_json(answer))

    def error(self, error: errors.RequestError) -> bytes:
        return write_json({"error": str(error)})


def check_names(identity: Identity, path: Mapping[str, str]) -> None:
    """Whether the route's ``model`` and ``version`` are the ones served.

    Raises:
        UnknownModel: they are not.
    """
    if path.get("model", identity.model) != identity.model:
        raise errors.UnknownModel(f"the model served here is {identity.model!r}")
    if path.get("version", identity.version) != identity.version:
        raise errors.UnknownModel(
            f"the version of {identity.model!r} served here is {identity.version!r}"
        )


def model_metadata(model: ServedModel) -> dict[str, Any]:
    """The protocol's description of the model and its tensors."""
    version = model.identity.version
    inputs: Sequence[Column | Tensor] = model.signature.inputs
    outputs: Sequence[Column | Tensor] = model.signature.outputs
    return {
        "name": model.identity.model,
        "versions": [version] if version else [],
        "platform": f"mlflow_{model.runtime.flavor}",
        "inputs": [_describe(spec, f"input-{n}") for n, spec in enumerate(inputs)],
        "outputs": [_describe(spec, f"output-{n}") for n, spec in enumerate(outputs)],
    }


def _describe(spec: Column | Tensor, default_name: str) -> dict[str, Any]:
    name = spec.name if spec.name is not None else default_name
    if isinstance(spec, Tensor):
        datatype = _DATATYPES.get(spec.dtype, "BYTES")
        return {"name": name, "datatype": datatype, "shape": list(spec.shape)}
    return {
        "name": name,
        "datatype": _COLUMN_DATATYPES.get(spec.type, "BYTES"),
        "shape": [-1],
    }


def _payload(document: Mapping[str, Any], model: ServedModel) -> Payload:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise MalformedRequest("inputs must be an array with at least one tensor")
    tensors: dict[str, npt.NDArray[Any]] = {}
    for number, tensor in enumerate(inputs):
        name, array = _read_tensor(tensor, number)
        if name in tensors:
            raise MalformedRequest(f"inputs has two tensors with the name {name!r}")
        tensors[name] = array
    if len(tensors) == 1:
        (name, array), *_ = tensors.items()
        if not any(spec.name == name for spec in model.signature.inputs) and (
            model.signature.inputs == ()
            or array.ndim == 2
            or isinstance(model.signature.inputs[0], Tensor)
        ):
            return Array(array)
    return Columns(tensors)


def _read_tensor(tensor: Any, number: int) -> tuple[str, npt.NDArray[Any]]:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise MalformedRequest(f"inputs[{number}] must be an object with a name")
    name = tensor["name"]
    if "data" not in tensor and "binary_data_size" in _parameters(tensor):
        raise MalformedRequest(f"input {name!r}: the binary tensor extension is not supported")
    shape, datatype, data = tensor.get("shape"), tensor.get("datatype"), tensor.get("data")
    if not isinstance(data, list):
        raise MalformedRequest(f"input {name!r}: data must be an array")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise MalformedRequest(f"input {name!r}: shape must be an array of non-negative integers")
    if not isinstance(datatype, str) or (datatype != "BYTES" and datatype not in _DTYPES):
        raise MalformedRequest(
            f"input {name!r}: datatype must be BYTES or one of {', '.join(_DTYPES)}"
        )
    flat = _flatten(data, name)
    expected = 1
    for length in shape:
        expected *= length
    if len(flat) != expected:
        raise InvalidInput(
            f"has {len(flat)} values, but shape {shape} means {expected}", field=name
        )
    return name, _to_array(flat, datatype, name).reshape(shape)


def _parameters(node: Mapping[str, Any]) -> dict[str, Any]:
    """The optional parameters of a request, of an input or of an output."""
    parameters = node.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise MalformedRequest("parameters must be an object")
    return parameters


def _flatten(data: list[Any], name: str) -> list[Any]:
    """Row-major values; data may be nested as its shape says, or flat."""
    while any(type(item) is list for item in data):
        if not all(type(item) is list for item in data):
            raise InvalidInput("is ragged: it mixes arrays and values", field=name)
        data = [value for item in data for value in item]
    return data


def _to_array(flat: list[Any], datatype: str, name: str) -> npt.NDArray[Any]:
    if datatype != "BYTES":
        array: npt.NDArray[Any] = to_numbers(flat, _DTYPES[datatype], name, datatype)
        return array
    for row, value in enumerate(flat):
        if not isinstance(value, str) and value is not None:
            raise InvalidInput("is no string, but its datatype is BYTES", field=name, row=row)
    strings = np.empty(len(flat), dtype=object)
    strings[:] = flat
    return strings


def _requested_outputs(document: Mapping[str, Any]) -> list[str] | None:
    outputs = document.get("outputs")
    if outputs is None:
        return None
    if not isinstance(outputs, list):
        raise MalformedRequest("outputs must be an array")
    names = []
    for number, output in enumerate(outputs):
        if not isinstance(output, dict) or not isinstance(output.get("name"), str):
            raise MalformedRequest(f"outputs[{number}] must be an object with a name")
        if _parameters(output).get("binary_data"):
            raise MalformedRequest("the binary tensor extension is not supported")
        names.append(output["name"])
    return names or None


def _outputs(values: Any, model: ServedModel) -> Iterator[dict[str, Any]]:
    if hasattr(values, "columns") and hasattr(values, "dtypes"):  # a pandas DataFrame
        for name in values.columns:
            yield _write_tensor(str(name), values[name].to_numpy())
        return
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield _write_tensor(str(name), np.asarray(value))
        return
    specs = model.signature.outputs
    name = specs[0].name if len(specs) == 1 else None
    if name is None and getattr(values, "name", None) is not None:  # a pandas Series
        name = str(values.name)
    yield _write_tensor(name or DEFAULT_OUTPUT, np.asarray(values))


def _write_tensor(name: str, array: npt.NDArray[Any]) -> dict[str, Any]:
    if array.ndim == 0:
        array = array.reshape(1)
    shape: Sequence[int] = array.shape
    data = array.ravel().tolist()
    datatype = _DATATYPES.get(array.dtype)
    if datatype is None:
        datatype = "BYTES"
        data = [value if isinstance(value, (str, bytes)) else str(value) for value in data]
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": data}
