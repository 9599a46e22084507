"""Keras and TensorFlow models by their graph answer as ``mlflow.pyfunc`` does."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from serinus_server.runtimes.parity import Trial
from serinus_server.runtimes.questions import questions

from .models import WIDTH, answers_itself, matrix, same_from_threads, same_outcome, saved

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import keras
    import mlflow.keras
    import mlflow.tensorflow
    import tensorflow as tf
    from keras import layers

from serinus_server.runtimes.tensorflow import candidates, prepare

# Keras warns of what TensorFlow and NumPy do.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

_FLOATS = matrix(3).astype(np.float32)


@pytest.fixture(autouse=True)
def _few_graphs() -> Iterator[None]:
    keras.utils.set_random_seed(1)
    yield
    keras.backend.clear_session()


def _dense() -> Any:
    return keras.Sequential(
        [
            layers.Input((WIDTH,)),
            layers.Dense(33, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def _convolution() -> Any:
    return keras.Sequential(
        [
            layers.Input((WIDTH,)),
            layers.Reshape((WIDTH, 1)),
            layers.Conv1D(4, 3, activation="gelu"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def _two_inputs() -> Any:
    left, right = layers.Input((WIDTH,), name="left"), layers.Input((2,), name="right")
    joined = layers.Concatenate()([left, right])
    return keras.Model([left, right], [layers.Dense(2)(joined), layers.Dense(1)(joined)])


@keras.saving.register_keras_serializable("tests")
class _Doubled(keras.Sequential):  # type: ignore[misc]
    def predict_step(self, data: Any) -> Any:
        return 2 * super().predict_step(data)


class _Module(tf.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(matrix(WIDTH)[:, :2].astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="given")])
    def __call__(self, given: Any) -> Any:
        return tf.matmul(given, self.weights)


def _difference(reference: Any, candidate: Any) -> str | None:
    """What differs; in few questions, because ``predict`` takes tens of milliseconds."""
    trial = Trial.of(reference, itertools.islice(questions(reference.signature), 20), seconds=60)
    assert trial.enough
    return trial.difference(candidate)


@pytest.mark.parametrize("flavor", [mlflow.tensorflow, mlflow.keras])
@pytest.mark.parametrize("make", [_dense, _convolution])
def test_keras_models_answer_as_pyfunc(
    make: Callable[[], Any], flavor: ModuleType, tmp_path: Path
) -> None:
    reference = saved(flavor, make(), tmp_path, _FLOATS)
    assert prepare(reference) is None
    candidate = next(candidates(reference))
    assert answers_itself(candidate, _FLOATS)
    assert _difference(reference, candidate) is None
    # Keras divides what has more rows than 32.
    for rows in (33, 64, 100):
        assert same_outcome(candidate, reference, matrix(rows, rows).astype(np.float32)) is None


def test_inputs_by_name_and_several_outputs_are_as_pyfuncs(tmp_path: Path) -> None:
    given = {"left": _FLOATS, "right": _FLOATS[:, :2].copy()}
    reference = saved(mlflow.tensorflow, _two_inputs(), tmp_path, given)
    assert prepare(reference) is None
    candidate = next(candidates(reference))
    assert answers_itself(candidate, given)
    assert _difference(reference, candidate) is None
    many = {name: np.repeat(array, 30, axis=0) for name, array in given.items()}
    assert same_outcome(candidate, reference, many) is None
    assert not answers_itself(candidate, {**given, "left": _FLOATS[:2]})


@pytest.mark.parametrize(
    "model_input",
    [
        _FLOATS[:, 1:],
        _FLOATS[0],
        _FLOATS.astype(np.float64),
        _FLOATS.round().astype(np.int32),
        {"no such input": _FLOATS},
    ],
    ids=["columns", "dimensions", "float64", "int32", "names"],
)
def test_odd_inputs_have_the_references_outcome(model_input: Any, tmp_path: Path) -> None:
    reference = saved(mlflow.tensorflow, _dense(), tmp_path, _FLOATS)
    assert prepare(reference) is None
    candidate = next(candidates(reference))
    assert not answers_itself(candidate, model_input)
    assert same_outcome(candidate, reference, model_input) is None


_NOT_ASKED: dict[str, tuple[Callable[[], Any], str]] = {
    "module": (_Module, "it is no model of Keras"),
    "own predict_step": (
        lambda: _Doubled([layers.Input((WIDTH,)), layers.Dense(2)]),
        "_Doubled is code of its own",
    ),
    "state": (
        lambda: keras.Sequential(
            [
                layers.Input((WIDTH,), batch_size=3),
                layers.Reshape((WIDTH, 1)),
                layers.LSTM(2, stateful=True, name="memory"),
            ]
        ),
        "memory keeps a state",
    ),
}


@pytest.mark.parametrize("kind", _NOT_ASKED)
def test_models_that_may_keep_a_state_are_asked_nothing_generated(
    kind: str, tmp_path: Path
) -> None:
    make, reason = _NOT_ASKED[kind]
    reference = saved(mlflow.tensorflow, make(), tmp_path, _FLOATS)
    assert prepare(reference) == reason


def test_no_progress_bar_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reference = saved(mlflow.tensorflow, _dense(), tmp_path, _FLOATS)
    assert prepare(reference) is None
    capfd.readouterr()
    reference.predict(_FLOATS, None)
    assert capfd.readouterr().out == ""


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    reference = saved(mlflow.tensorflow, _dense(), tmp_path, _FLOATS)
    inputs = [matrix(rows, rows).astype(np.float32) for rows in (1, 64)]
    assert same_from_threads(next(candidates(reference)), inputs, times=10)
