"""Any MLflow model through MLflow's own Python function: what other runtimes must equal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from serinus_server.errors import LoadFailed
from serinus_server.runtimes.base import (
    COLUMN_TYPES,
    Column,
    InputRefused,
    Signature,
    Table,
    Tensor,
)
from serinus_server.runtimes.requirements import mismatches

_LONGEST_REASON = 500  # characters; type hints' errors repeat their input

_log = structlog.stdlib.get_logger(__name__)


class PyFuncRuntime:
    """A model loaded with ``mlflow.pyfunc.load_model``; answers exactly as that does."""

    name = "pyfunc"
    predict_parts = None

    def __init__(self, model: Any) -> None:
        self.row_wise = False  # until somebody has proved or measured it
        self.quick_rows = 0
        self._model = model
        self._params_schema = model.metadata.get_params_schema()
        self.signature = _signature(model.metadata)
        flavors = [name for name in model.metadata.flavors if name != "python_function"]
        self.flavor = flavors[0] if flavors else "python_function"

    @property
    def model(self) -> Any:
        """The loaded ``mlflow.pyfunc.PyFuncModel``, for runtimes that ask its inside directly."""
        return self._model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None) -> Any:
        from mlflow.exceptions import MlflowException

        if params:
            self._check_params(dict(params))
        if isinstance(model_input, Table):
            model_input = model_input.frame()
        try:
            return self._model.predict(model_input, params=dict(params) if params else None)
        except MlflowException as error:
            # MLflow's message repeats the whole input; what follows the last "Error:" says why.
            if getattr(error, "error_class", None) == "SCHEMA_ENFORCEMENT_FAILED":
                raise InputRefused(str(error.message).rpartition("Error: ")[2]) from error
            if self.signature.checked_by_model and error.error_code == "INVALID_PARAMETER_VALUE":
                raise InputRefused(str(error.message)[:_LONGEST_REASON]) from error
            raise

    def _check_params(self, params: dict[str, Any]) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.types.schema import ParamSpec

        for spec in self._params_schema.params:
            if spec.name in params:
                try:
                    ParamSpec.validate_param_spec(params[spec.name], spec)
                except MlflowException as error:
                    raise InputRefused(f"param {spec.name!r}: {error.message}") from error


def load(folder: Path) -> PyFuncRuntime:
    """The model in ``folder``, which must have been admitted: loading runs its code.

    Raises:
        LoadFailed: the files do not become a model.
    """
    import mlflow.pyfunc

    if unmet := mismatches(folder):
        _log.warning("the model was made with other packages", unmet=unmet)
    try:
        return PyFuncRuntime(mlflow.pyfunc.load_model(str(folder), suppress_warnings=True))
    except ModuleNotFoundError as error:
        raise LoadFailed(
            f"the model needs the Python module {error.name!r}, which this image lacks"
        ) from error
    except Exception as error:  # whatever unpickling runs into
        reason = (str(error) or "no message").splitlines()[0].replace(str(folder), "the model")
        raise LoadFailed(f"the model cannot be loaded: {type(error).__name__}: {reason}") from error


def _signature(metadata: Any) -> Signature:
    if metadata.signature is None:
        return Signature()
    params = metadata.get_params_schema()
    # The type hints of a Python model are checked by the model itself, not as a table.
    checks_itself = metadata._is_signature_from_type_hint()  # noqa: SLF001 - no public way
    return Signature(
        inputs=() if checks_itself else _specs(metadata.get_input_schema()),
        outputs=_specs(metadata.get_output_schema()),
        params=tuple(spec.name for spec in params.params) if params else (),
        checked_by_model=checks_itself,
        declared=_declared(metadata.signature),
    )


def _declared(signature: Any) -> dict[str, Any]:
    parts = {"inputs": signature.inputs, "outputs": signature.outputs, "params": signature.params}
    return {name: part.to_dict() for name, part in parts.items() if part is not None}


def _specs(schema: Any) -> tuple[Column, ...] | tuple[Tensor, ...]:
    if schema is None:
        return ()
    if schema.is_tensor_spec():
        return tuple(
            Tensor(spec.name, np.dtype(spec.type), tuple(int(n) for n in spec.shape))
            for spec in schema.inputs
        )
    return tuple(
        Column(
            spec.name,
            _column_type(spec.type),
            bool(getattr(spec, "required", True)),
            nested=type(spec.type).__name__ in ("Array", "Object"),
        )
        for spec in schema.inputs
    )


def _column_type(declared: Any) -> str:
    name = str(getattr(declared, "name", "any"))
    return name if name in COLUMN_TYPES else "any"
