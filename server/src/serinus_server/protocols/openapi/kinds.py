"""Which kind of input a model has."""

from __future__ import annotations

from typing import Protocol

from serinus_server.protocols.openapi.asked import Asked, Wanted
from serinus_server.protocols.openapi.columns import ColumnInputs
from serinus_server.protocols.openapi.others import HintedInput, OpenInput
from serinus_server.protocols.openapi.tensors import NamedTensors, TensorInput
from serinus_server.runtimes.base import Column, Signature, Tensor
from serinus_server.service.payload import Payload


class Inputs(Protocol):
    """The forms of one kind of input. The kinds are those of ``service.plan``."""

    def wanted(self) -> Wanted:
        """The schemas of all forms."""

    def asked(self, payload: Payload, most: int) -> Asked:
        """``payload`` in all forms; of its rows ``most``, where their number is free."""


def inputs_of(signature: Signature) -> Inputs:
    """The kind of input that ``signature`` describes."""
    declared = signature.declared.get("inputs", ())
    if signature.checked_by_model:
        return HintedInput(declared)
    columns = [spec for spec in signature.inputs if isinstance(spec, Column)]
    tensors = [spec for spec in signature.inputs if isinstance(spec, Tensor)]
    if columns:
        return ColumnInputs(columns, declared)
    if len(tensors) == 1 and tensors[0].name is None:
        return TensorInput(tensors[0])
    return NamedTensors(tensors) if tensors else OpenInput()
