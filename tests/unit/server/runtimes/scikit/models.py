"""References made in memory: what MLflow's loader returns, without a folder for each."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.fast import FastRuntime
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.runtimes.parity import Trial, quiet
from serinus_server.runtimes.questions import Question, questions
from serinus_server.runtimes.sklearn import candidates, hints, prepare

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow.sklearn
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import PyFuncModel
    from mlflow.types import ColSpec, Schema, TensorSpec

WIDTH = 5
NAMES = [f"c{index}" for index in range(WIDTH)]
GIVEN = ("doubles", "floats", "longs", "mixed", "unnamed", "tensor", "nothing")

_random = np.random.default_rng(11)
FEATURES = np.round(_random.normal(size=(150, WIDTH)) * 3, 2)
LABELS = (FEATURES[:, 0] + FEATURES[:, 1] > _random.normal(size=150)).astype(int)
CLASSES = np.array(["low", "middle", "top"])[np.digitize(FEATURES[:, 0], [-1.5, 1.5])]
TARGET = FEATURES[:, 0] * 3 - FEATURES[:, 2] + _random.normal(size=150)

_TYPES = {
    "doubles": ["double"] * WIDTH,
    "floats": ["float"] * WIDTH,
    "longs": ["long"] * WIDTH,
    "mixed": ["double", "long", "float", "integer", "boolean"],
    "unnamed": ["double"] * WIDTH,
}
_DTYPES = {"double": "f8", "float": "f4", "long": "i8", "integer": "i4", "boolean": "?"}


def reference_of(
    model: Any, target: Any = LABELS, given: str = "doubles", method: str = "predict"
) -> PyFuncRuntime:
    """``model`` fitted to inputs of the kind ``given``, as `mlflow.pyfunc` has it."""
    return loaded(model.fit(_features(given), target), _signature(given), method)


def loaded(model: Any, inputs: Schema | None, method: str = "predict") -> PyFuncRuntime:
    """A fitted ``model`` as `mlflow.pyfunc` has it."""
    flavor = {"loader_module": "mlflow.sklearn", "predict_fn": method}
    meta = Model(
        flavors={"sklearn": {}, "python_function": flavor},
        signature=None if inputs is None else ModelSignature(inputs),
    )
    return PyFuncRuntime(PyFuncModel(meta, mlflow.sklearn._SklearnModelWrapper(model), method))


def _features(given: str) -> Any:
    if given in ("tensor", "nothing", "unnamed"):
        return FEATURES
    frame = pd.DataFrame(FEATURES, columns=NAMES)
    return frame.astype(dict(zip(NAMES, (_DTYPES[t] for t in _TYPES[given]), strict=True)))


def _signature(given: str) -> Schema | None:
    if given == "nothing":
        return None
    if given == "tensor":
        return Schema([TensorSpec(np.dtype("f8"), (-1, WIDTH))])
    names = [None] * WIDTH if given == "unnamed" else NAMES
    return Schema([ColSpec(t, n) for t, n in zip(_TYPES[given], names, strict=True)])


def trial_of(reference: PyFuncRuntime, count: int = 32) -> Trial:
    """The reference's answers to the first ``count`` generated questions."""
    assert prepare(reference) is None
    asked = questions(reference.signature, None, hints(reference), seed=5)
    trial = Trial.of(reference, itertools.islice(asked, count), seconds=60)
    assert trial.enough
    return trial


def proved(reference: PyFuncRuntime, count: int = 32) -> tuple[FastRuntime, Trial]:
    """The first candidate that equals the reference, and the questions that show it."""
    trial = trial_of(reference, count)
    reasons = []
    for candidate in candidates(reference):
        reason = trial.difference(candidate)
        if reason is None:
            return candidate, trial
        reasons.append(f"{candidate.name}: {reason}")
    raise AssertionError(reasons or "there are no candidates")


def own_share(candidate: FastRuntime, trial: Trial) -> float:
    """The part of the answered questions that the fast way answers without the reference."""
    answered = [each.question for each in trial.asked if each.error is None]
    return sum(answers_itself(candidate, question) for question in answered) / len(answered)


def answers_itself(candidate: FastRuntime, question: Question) -> bool:
    """Whether the fast way answers; False where it leaves the input to the reference."""
    try:
        with quiet():
            candidate._ask(question.model_input)
    except Exception:  # noqa: BLE001 - as the runtime does
        return False
    return True


def table(rows: Any, names: Sequence[str | int] = NAMES) -> Table:
    """A table of doubles."""
    values = np.asarray(rows, dtype=float)
    return Table({name: values[:, place] for place, name in enumerate(names)}, len(values))
