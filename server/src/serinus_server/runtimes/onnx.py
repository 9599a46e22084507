"""ONNX models: the session that MLflow made is asked directly, without a DataFrame around it.

A session's number of threads comes with the model (`onnx_session_options`), else it is one for each
core. A session of our own with fewer would sum the trees of an ensemble in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime

from serinus_server.runtimes.base import Signature, Table
from serinus_server.runtimes.fast import Doubt, FastRuntime, Hints
from serinus_server.runtimes.inputs import Arrays, takes_tables
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime


def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """The session that MLflow made."""
    session = reference.model.get_raw_model()
    if type(session) is onnxruntime.InferenceSession:
        yield FastRuntime("onnx", reference, _Ask(session, reference.signature))


def hints(reference: PyFuncRuntime) -> Hints:
    """How many columns the model takes; a session does not tell its thresholds."""
    first = reference.model.get_raw_model().get_inputs()[0]
    width = first.shape[1] if len(first.shape) == 2 else None
    return Hints(width=width if isinstance(width, int) else None)


class _Ask:
    """As MLflow's wrapper of a session makes inputs and answers."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self._arrays = Arrays(signature)
        self._takes_tables = takes_tables(signature)
        self._run = session.run
        self._inputs = [(each.name, each.type) for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()]
        self._index: Any = None  # the only column's name as pandas has it

    def __call__(self, model_input: Any) -> Any:
        if type(model_input) is Table and self._takes_tables:
            return self._frame(self._run(self._outputs, self._feed(self._of_table(model_input))))
        if type(model_input) is not dict:
            if len(self._inputs) != 1:
                raise Doubt
            arrays = {self._inputs[0][0]: self._arrays.one(model_input)}
        else:
            arrays = self._arrays.named(model_input)
        answers = self._run(self._outputs, self._feed(arrays))
        return dict(zip(self._outputs, answers, strict=False))

    def _feed(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """Doubles as floats where the model takes floats; MLflow does so for no other type."""
        feed = dict(arrays)
        for name, kind in self._inputs:
            if kind == "tensor(float)" and name in feed and feed[name].dtype == np.float64:
                feed[name] = feed[name].astype(np.float32)
        return feed

    def _of_table(self, table: Table) -> dict[str, Any]:
        kinds = [kind for kind, _ in table.layout.groups]
        if not all(kind[0] in "biuf" for kind in kinds) or "float16" in kinds:
            raise Doubt
        if len(self._inputs) > 1:
            return {name: table.column(name) for name, _ in self._inputs}
        name = self._inputs[0][0]
        if len(kinds) == 1:
            return {name: table.blocks[0]}
        # pandas finds one dtype for all columns; only where that is float64 is it matrix's.
        if "bool" in kinds or np.result_type(*kinds) != np.float64:
            raise Doubt
        return {name: table.matrix(table.layout.keys)}

    def _frame(self, answers: list[Any]) -> Any:
        """Every output as one column, however many dimensions it has."""
        import pandas as pd

        if len(answers) == 1 and isinstance(answers[0], np.ndarray):  # five times as fast
            if self._index is None:
                self._index = pd.Index(self._outputs)
            return pd.DataFrame(answers[0].reshape(-1, 1), columns=self._index)
        return pd.DataFrame(
            {
                name: np.asarray(answer).reshape(-1)
                for name, answer in zip(self._outputs, answers, strict=False)
            }
        )
