"""A REST request: JSON, with tensors in it or, by the binary extension, behind it.

This is the hot path: a tensor of 30 numbers costs some 3 us. What numpy converts exactly by itself
is left to it; only the rest goes through the conversions that know how to name what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from serinus_server.errors import InvalidInput, MalformedRequest
from serinus_server.protocols.v2.datatypes import BYTES, DTYPES, check_datatype, elements_of
from serinus_server.protocols.v2.tensors import from_raw
from serinus_server.service.convert import to_numbers

HEADER = "inference-header-content-length"

_LIST = {list}
_INT = {int}
_BOOL = {bool}
_FLOATS = frozenset({float, int, type(None)})  # null is a missing number, as in a table
_STRINGS = frozenset({str, type(None)})
_FP64 = DTYPES["FP64"]
_INTEGERS = {name: dtype for name, dtype in DTYPES.items() if dtype.kind in "iu"}


class Output(NamedTuple):
    """One requested output."""

    name: str
    binary: bool | None  # None: as the request says for all


class Wishes(NamedTuple):
    """What a request says about the form of its answer."""

    id: str | None = None
    outputs: tuple[Output, ...] | None = None  # None: all
    binary: bool = False  # outputs for which nothing else is said


NO_WISHES = Wishes()


class Attached:
    """The bytes behind a request's JSON, taken by its binary inputs in their order."""

    def __init__(self, body: bytes, header: str | None) -> None:
        self._body = body
        self._next = len(body)
        if header is not None:
            if not (header.isascii() and header.isdigit()) or len(header) > 18:
                raise MalformedRequest("Inference-Header-Content-Length must be a number of bytes")
            self._next = int(header)
            if self._next > len(body):
                raise MalformedRequest(
                    f"Inference-Header-Content-Length is {self._next}, "
                    f"but the body has {len(body)} bytes"
                )
        self.json = body[: self._next]

    def take(self, size: object, name: str) -> tuple[bytes, int, int]:
        """The body, and where in it the next ``size`` bytes are.

        Raises:
            MalformedRequest: there are not as many.
        """
        if type(size) is not int or size < 0:
            raise MalformedRequest(
                f"input {name!r}: binary_data_size must be a non-negative integer"
            )
        start = self._next
        left = len(self._body) - start
        if size > left:
            raise MalformedRequest(
                f"input {name!r}: binary_data_size is {size}, but {left} bytes are left behind "
                "the JSON; its own length goes into Inference-Header-Content-Length"
            )
        self._next = start + size
        return self._body, start, size

    def close(self) -> None:
        """All bytes must have been taken."""
        if left := len(self._body) - self._next:
            raise MalformedRequest(f"{left} bytes behind the JSON belong to no input")


def read_inputs(
    document: Mapping[str, Any], attached: Attached | None, is_text: Callable[[str], bool]
) -> dict[str, npt.NDArray[Any]]:
    """The request's tensors by name; ``is_text`` tells whether binary BYTES are strings.

    Raises:
        MalformedRequest: they do not have the protocol's form.
        InvalidInput: values do not fit their datatype or shape.
    """
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise MalformedRequest("inputs must be an array with at least one tensor")
    tensors: dict[str, npt.NDArray[Any]] = {}
    for number, tensor in enumerate(inputs):
        if type(tensor) is not dict or type(name := tensor.get("name")) is not str:
            raise MalformedRequest(f"inputs[{number}] must be an object with a name")
        if name in tensors:
            raise MalformedRequest(f"inputs has two tensors with the name {name!r}")
        if "parameters" in tensor and "binary_data_size" in parameters_of(tensor):
            tensors[name] = _read_binary(tensor, name, attached, is_text)
        else:
            tensors[name] = _read_json(tensor, name)
    if attached is not None:
        attached.close()
    return tensors


def read_wishes(document: Mapping[str, Any]) -> tuple[Wishes, dict[str, Any] | None]:
    """What the answer should look like, and the parameters for the model.

    Raises:
        MalformedRequest: they do not have the protocol's form.
    """
    if len(document) == 1:  # inputs, and nothing else
        return NO_WISHES, None
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise MalformedRequest("id must be a string")
    parameters = parameters_of(document)
    binary = False
    if "binary_data_output" in parameters:
        parameters = dict(parameters)
        binary = _boolean(parameters.pop("binary_data_output"), "binary_data_output")
    return Wishes(request_id, _requested_outputs(document), binary), parameters


def parameters_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """The optional parameters of a request, of an input or of an output."""
    parameters = node.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise MalformedRequest("parameters must be an object")
    return parameters


def _read_json(tensor: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    data = tensor.get("data")
    if type(data) is not list:
        raise MalformedRequest(f"input {name!r}: data must be an array")
    shape = tensor.get("shape")
    expected = elements_of(shape, name)
    datatype = check_datatype(tensor.get("datatype"), name)
    types = set(map(type, data))
    while types == _LIST:  # row-major values; data may be nested as its shape says, or flat
        data = list(chain.from_iterable(data))
        types = set(map(type, data))
    if list in types:
        raise InvalidInput("is ragged: it mixes arrays and values", field=name)
    if len(data) != expected:
        raise InvalidInput(
            f"has {len(data)} values, but shape {shape} means {expected}", field=name
        )
    array: npt.NDArray[Any] = _to_array(data, types, datatype, name)
    return array.reshape(shape)


def _to_array(data: list[Any], types: set[type], datatype: str, name: str) -> Any:
    if datatype == "FP64":
        if types <= _FLOATS:
            return np.array(data, _FP64)
    elif datatype in _INTEGERS:
        if types == _INT:
            try:
                return np.array(data, _INTEGERS[datatype])
            except OverflowError:
                pass  # which value it is, to_numbers finds out
    elif datatype == BYTES:
        return _strings(data, types, name)
    elif types == _BOOL and datatype == "BOOL":
        return np.array(data, np.bool_)
    return to_numbers(data, DTYPES[datatype], name, datatype)


def _strings(data: list[Any], types: set[type], name: str) -> npt.NDArray[Any]:
    if not types <= _STRINGS:
        row = next(row for row, value in enumerate(data) if type(value) not in _STRINGS)
        raise InvalidInput("is no string, but its datatype is BYTES", field=name, row=row)
    strings = np.empty(len(data), dtype=object)
    strings[:] = data
    return strings


def _read_binary(
    tensor: Mapping[str, Any],
    name: str,
    attached: Attached | None,
    is_text: Callable[[str], bool],
) -> npt.NDArray[Any]:
    if "data" in tensor:
        raise MalformedRequest(f"input {name!r} has both data and binary_data_size")
    if attached is None:
        raise MalformedRequest(
            f"input {name!r} has a binary_data_size, but the request has no header "
            "Inference-Header-Content-Length, which tells where its JSON ends"
        )
    shape: Any = tensor.get("shape")
    elements_of(shape, name)
    datatype = check_datatype(tensor.get("datatype"), name)
    body, start, size = attached.take(tensor["parameters"]["binary_data_size"], name)
    return from_raw(body, start, size, datatype, shape, name, text=is_text(name))


def _requested_outputs(document: Mapping[str, Any]) -> tuple[Output, ...] | None:
    outputs = document.get("outputs")
    if outputs is None:
        return None
    if not isinstance(outputs, list):
        raise MalformedRequest("outputs must be an array")
    found: dict[str, Output] = {}
    for number, output in enumerate(outputs):
        if not isinstance(output, dict) or not isinstance(name := output.get("name"), str):
            raise MalformedRequest(f"outputs[{number}] must be an object with a name")
        if name in found:
            raise MalformedRequest(f"outputs names {name!r} twice")
        parameters = parameters_of(output)
        binary = None
        if "binary_data" in parameters:
            binary = _boolean(parameters["binary_data"], "binary_data")
        found[name] = Output(name, binary)
    return tuple(found.values()) or None


def _boolean(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise MalformedRequest(f"the parameter {name} must be true or false")
    return value
