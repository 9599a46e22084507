"""What the protocol says and needs to know of the served model; worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from serinus_server import errors
from serinus_server.errors import InvalidInput
from serinus_server.protocols.v2.datatypes import BYTES, DATATYPES
from serinus_server.protocols.v2.tensors import writable
from serinus_server.runtimes.base import Column, Tensor
from serinus_server.service.model import Identity, ServedModel
from serinus_server.service.payload import Array, Columns, Payload

EXTENSIONS = ("binary_tensor_data",)
DEFAULT_OUTPUT = "output-0"

COLUMN_DATATYPES = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64",
}  # fmt: skip


class Form:
    """A model's inputs and outputs in the protocol's terms."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        inputs: Sequence[Column | Tensor] = model.signature.inputs
        outputs: Sequence[Column | Tensor] = model.signature.outputs
        self._names = frozenset(spec.name for spec in inputs if spec.name is not None)
        self._any_array = not inputs or isinstance(inputs[0], Tensor)
        self._bytes = frozenset(spec.name for spec in inputs if _takes_bytes(spec))
        self._only_bytes = bool(inputs) and all(map(_takes_bytes, inputs))
        name = outputs[0].name if len(outputs) == 1 else None
        self._only_output = name
        self.output = name or DEFAULT_OUTPUT

    def is_text(self, name: str) -> bool:
        """Whether the BYTES of the input ``name`` are strings in UTF-8."""
        return name not in self._bytes and not (self._only_bytes and name not in self._names)

    def payload(self, tensors: Mapping[str, npt.NDArray[Any]]) -> Payload:
        """The input: one tensor of another name than the signature's is the whole of it."""
        if len(tensors) == 1:
            ((name, array),) = tensors.items()
            if name not in self._names and (self._any_array or array.ndim == 2):
                return Array(array)
        return Columns(tensors)

    def outputs(self, values: Any) -> dict[str, Any]:
        """A model's answer by the names of its outputs; of each, what ``writable`` takes."""
        if hasattr(values, "columns") and hasattr(values, "dtypes"):  # a pandas DataFrame
            return {str(name): values[name].to_numpy() for name in values.columns}
        if isinstance(values, Mapping):
            return {str(name): value for name, value in values.items()}
        name = self._only_output
        if name is None and getattr(values, "name", None) is not None:  # a pandas Series
            name = str(values.name)
        return {name or DEFAULT_OUTPUT: values}

    def tensors(
        self, values: Any, wanted: Sequence[str] | None
    ) -> list[tuple[str, str, npt.NDArray[Any]]]:
        """Name, datatype and array of the ``wanted`` outputs (None: of all) of an answer.

        Raises:
            InvalidInput: the answer has no such output.
        """
        outputs = self.outputs(values)
        for name in wanted or ():
            if name not in outputs:
                raise InvalidInput(
                    f"{name!r} is no output of this model, which has {', '.join(outputs)}"
                )
        return [
            (name, *writable(outputs[name])) for name in (outputs if wanted is None else wanted)
        ]


def check_names(identity: Identity, path: Mapping[str, str]) -> None:
    """Whether the request's ``model`` and ``version`` are the ones served.

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
        datatype = DATATYPES.get(spec.dtype, BYTES)
        return {"name": name, "datatype": datatype, "shape": list(spec.shape)}
    return {
        "name": name,
        "datatype": COLUMN_DATATYPES.get(spec.type, BYTES),
        "shape": [-1],
    }


def _takes_bytes(spec: Column | Tensor) -> bool:
    return spec.dtype.kind == "S" if isinstance(spec, Tensor) else spec.type == "binary"
