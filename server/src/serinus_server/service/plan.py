"""The input plan: the model's signature turned, once, into the checks and conversions of a request.

Whatever a protocol decoded is bound to what the model takes: a Table for a signature of columns,
an array or named arrays for tensors, and an unchanged DataFrame or array where the model has no
signature. Inputs beyond the signature are dropped, as MLflow does; missing ones are refused.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from serinus_server.errors import InvalidInput
from serinus_server.runtimes.base import Column, Signature, Tensor, Values
from serinus_server.service.payload import Array, Columns, NamedArrays, Payload, Records, Split
from serinus_server.service.table_plan import TablePlan
from serinus_server.service.tensor_plan import TensorPlan


class InputPlan(Protocol):
    """Binds payloads to the model's input."""

    def bind(self, payload: Payload) -> Any:
        """The model's input.

        Raises:
            InvalidInput: the payload does not fit the signature.
        """


def plan_for(signature: Signature) -> InputPlan:
    """The plan for ``signature``; made once, when the model is loaded."""
    if signature.checked_by_model:
        return RawPlan()
    columns = [spec for spec in signature.inputs if isinstance(spec, Column)]
    tensors = [spec for spec in signature.inputs if isinstance(spec, Tensor)]
    if columns:
        return TablePlan(columns)
    if tensors:
        return TensorPlan(tensors)
    return OpenPlan()


class RawPlan:
    """For Python models with type hints, which check plain JSON values themselves."""

    def bind(self, payload: Payload) -> Any:
        match payload:
            case Records(rows):
                return list(rows)
            case Split():
                return dict(payload.columns().values)
            case Columns(values):
                return {name: _plain(column) for name, column in values.items()}
            case Array(values):
                return _plain(values)


class OpenPlan:
    """For models without a signature: tables stay tables and arrays stay arrays, unchecked."""

    def bind(self, payload: Payload) -> Any:
        import pandas as pd

        try:
            match payload:
                case Records(rows):
                    return pd.DataFrame(list(rows))
                case Split():
                    return pd.DataFrame(dict(payload.columns().values))
                case NamedArrays(values):
                    return {name: np.array(value) for name, value in values.items()}
                case Columns(values):
                    return pd.DataFrame(dict(values))
                case Array(array):
                    return array if isinstance(array, np.ndarray) else np.array(array)
        except (ValueError, TypeError):
            raise InvalidInput("the rows or inputs differ in length") from None


def _plain(values: Values) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values
