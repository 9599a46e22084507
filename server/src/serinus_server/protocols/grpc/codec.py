"""Inference requests and answers of gRPC, as the bytes of their messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from serinus_server import errors
from serinus_server.errors import InvalidInput, MalformedRequest
from serinus_server.protocols.codec import Answer, Question, Request
from serinus_server.protocols.grpc.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from serinus_server.protocols.v2.datatypes import BYTES, DTYPES, check_datatype, elements_of
from serinus_server.protocols.v2.model import Form, check_names
from serinus_server.protocols.v2.tensors import from_elements, from_raw, to_elements, to_raw
from serinus_server.service.convert import to_numbers
from serinus_server.service.model import ServedModel
from serinus_server.service.payload import Prediction

# Where a tensor of a datatype has its typed values. FP16 has no such place.
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


class _Wishes(NamedTuple):
    """What a request says about the form of its answer."""

    id: str
    outputs: list[str] | None  # None: all
    raw: bool  # as the request was, so is the answer


class GrpcCodec:
    """``ModelInferRequest`` to a question, and its prediction to a ``ModelInferResponse``."""

    name = "grpc"

    def __init__(self) -> None:
        self._known: Form | None = None

    def decode(self, model: ServedModel, request: Request) -> Question:
        try:
            message = ModelInferRequest.FromString(request.body)
        except DecodeError:
            raise MalformedRequest("the message is no inference.ModelInferRequest") from None
        check_names(model.identity, names_of(message.model_name, message.model_version))
        form = self._know(model)
        raws = message.raw_input_contents
        return Question(
            form.payload(_inputs(message, raws, form)),
            _parameters(message.parameters),
            _Wishes(message.id, _requested_outputs(message), bool(raws)),
        )

    def encode(self, model: ServedModel, question: Question, prediction: Prediction) -> Answer:
        wishes: _Wishes = question.context
        tensors = self._know(model).tensors(prediction.values, wishes.outputs)
        raw = wishes.raw or any(datatype not in _CONTENTS for _, datatype, _ in tensors)
        message = ModelInferResponse(
            model_name=model.identity.model, model_version=model.identity.version, id=wishes.id
        )
        for name, datatype, array in tensors:
            tensor = message.outputs.add(name=name, datatype=datatype, shape=array.shape)
            if raw:
                message.raw_output_contents.append(to_raw(array))
            else:
                contents = getattr(tensor.contents, _CONTENTS[datatype])
                contents.extend(to_elements(array) if datatype == BYTES else array.ravel().tolist())
        return Answer(message.SerializeToString())

    def error(self, error: errors.RequestError) -> bytes:
        return str(error).encode()

    def _know(self, model: ServedModel) -> Form:
        """What was worked out for ``model``; a server has one, so that this happens once."""
        known = self._known
        if known is None or known.model is not model:
            known = self._known = Form(model)
        return known


def names_of(model: str, version: str) -> dict[str, str]:
    """Names in a message, as ``check_names`` takes them; no version means the one served."""
    return {"model": model, "version": version} if version else {"model": model}


def _inputs(
    message: ModelInferRequest, raws: Sequence[bytes], form: Form
) -> dict[str, npt.NDArray[Any]]:
    if not message.inputs:
        raise MalformedRequest("there must be at least one input")
    if raws and len(raws) != len(message.inputs):
        raise MalformedRequest(
            f"raw_input_contents has {len(raws)} items for {len(message.inputs)} inputs"
        )
    tensors: dict[str, npt.NDArray[Any]] = {}
    for number, tensor in enumerate(message.inputs):
        name = tensor.name
        if name in tensors:
            raise MalformedRequest(f"there are two inputs with the name {name!r}")
        shape = tensor.shape[:]
        expected = elements_of(shape, name)
        datatype = check_datatype(tensor.datatype, name)
        if not raws:
            tensors[name] = _typed(tensor, name, datatype, shape, expected, form)
        elif tensor.HasField("contents"):
            raise MalformedRequest(f"input {name!r} has both contents and raw_input_contents")
        else:
            raw = raws[number]
            text = form.is_text(name)
            tensors[name] = from_raw(raw, 0, len(raw), datatype, shape, name, text=text)
    return tensors


def _typed(
    tensor: ModelInferRequest.InferInputTensor,
    name: str,
    datatype: str,
    shape: Sequence[int],
    expected: int,
    form: Form,
) -> npt.NDArray[Any]:
    field = _CONTENTS.get(datatype)
    if field is None:
        raise MalformedRequest(f"input {name!r}: {datatype} must be sent in raw_input_contents")
    found = tensor.contents.ListFields()
    for other, _ in found:
        if other.name != field:
            raise MalformedRequest(
                f"input {name!r} has values in {other.name}, but those of {datatype} belong "
                f"into {field}"
            )
    values: list[Any] = found[0][1][:] if found else []
    if len(values) != expected:
        raise InvalidInput(
            f"has {len(values)} values, but shape {list(shape)} means {expected}", field=name
        )
    if datatype == BYTES:
        return from_elements(values, shape, name, text=form.is_text(name))
    try:
        array = np.array(values, DTYPES[datatype])
    except OverflowError:  # which value it is, to_numbers finds out
        array = to_numbers(values, DTYPES[datatype], name, datatype)
    return array.reshape(shape)


def _requested_outputs(message: ModelInferRequest) -> list[str] | None:
    if not message.outputs:
        return None
    names = [output.name for output in message.outputs]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise MalformedRequest(f"outputs names {name!r} twice")
    return names


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    if not parameters:
        return None
    found = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise MalformedRequest(f"the parameter {name!r} has no value")
        found[name] = getattr(parameter, choice)
    return found
