"""PyTorch models in inference mode answer as ``mlflow.pyfunc`` does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serinus_server.runtimes.base import Table

from .models import (
    WIDTH,
    answers_itself,
    as_table,
    difference,
    frame,
    matrix,
    same_from_threads,
    same_outcome,
    saved,
    table,
)

pytest.importorskip("torch")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow.pytorch
    import torch
    from torch import nn

from serinus_server.runtimes.pytorch import candidates, prepare

# Exporting a graph warns of what PyTorch itself does.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

_FLOATS = matrix(3).astype(np.float32)


def _dense() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(WIDTH, 33), nn.BatchNorm1d(33), nn.ReLU(), nn.Dropout(), nn.Linear(33, 3)
    ).eval()


class _Pair(nn.Module):
    def forward(self, given: Any) -> Any:
        return given, given


_MODELS: dict[str, Callable[[], Any]] = {
    "dense": _dense,
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, WIDTH)), nn.Conv1d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Softmax(1)
    ).eval(),
}
_GIVEN = {"columns": frame(3), "tensor": _FLOATS, "nothing": None}


def _pickled(model: Any, folder: Path, given: Any) -> Any:
    return saved(mlflow.pytorch, model, folder, given, serialization_format="pickle")


@pytest.mark.parametrize("given", ["columns", "tensor"])
@pytest.mark.parametrize("kind", _MODELS)
def test_modules_answer_as_pyfunc(kind: str, given: str, tmp_path: Path) -> None:
    reference = _pickled(_MODELS[kind](), tmp_path, _GIVEN[given])
    assert prepare(reference) is None
    candidate = next(candidates(reference))
    rows = table(3) if given == "columns" else _FLOATS
    assert answers_itself(candidate, rows)
    assert difference(candidate, reference) is None


def test_exported_graphs_answer_as_pyfunc(tmp_path: Path) -> None:
    reference = saved(mlflow.pytorch, _dense(), tmp_path, _FLOATS, input_example=_FLOATS)
    assert prepare(reference) is None
    candidate = next(candidates(reference))
    assert answers_itself(candidate, _FLOATS)
    assert difference(candidate, reference) is None


def test_tables_of_several_types_are_asked_as_their_frame_would_be(tmp_path: Path) -> None:
    data = frame(20)
    data["c1"] = np.arange(20)
    data["c2"] = data["c2"] > 0
    data["c3"] = data["c3"].astype(np.float32)
    reference = _pickled(_dense(), tmp_path, data)
    candidate = next(candidates(reference))
    assert answers_itself(candidate, as_table(data))
    assert difference(candidate, reference) is None


@pytest.mark.parametrize("given", _GIVEN)
def test_odd_inputs_have_the_references_outcome(given: str, tmp_path: Path) -> None:
    reference = _pickled(_dense(), tmp_path, _GIVEN[given])
    candidate = next(candidates(reference))
    columns = table(2).columns
    odd = [
        Table({**columns, "c0": ["a", "b"]}, 2),
        Table({**columns, "c0": np.array([np.nan, 1e300])}, 2),
        Table({**columns, "c0": np.array([2**60 + 1, 1])}, 2),
        _FLOATS[:, 1:],
        _FLOATS[0],
        _FLOATS[::2],
        _FLOATS.astype(np.float64),
        {"no such input": _FLOATS},
        frame(2),
        _FLOATS.tolist(),
    ]
    for model_input in odd:
        assert same_outcome(candidate, reference, model_input) is None


def test_a_read_only_array_is_no_cause_for_a_warning(tmp_path: Path) -> None:
    reference = _pickled(_dense(), tmp_path, _FLOATS)
    received = np.frombuffer(_FLOATS.tobytes(), dtype=np.float32).reshape(_FLOATS.shape)
    answer = next(candidates(reference)).predict(received, None)
    assert answer.tolist() == reference.predict(_FLOATS, None).tolist()


def test_models_that_answer_several_tensors_have_the_references_error(tmp_path: Path) -> None:
    reference = _pickled(_Pair(), tmp_path, _FLOATS)
    candidate = next(candidates(reference))
    assert not answers_itself(candidate, _FLOATS)
    assert same_outcome(candidate, reference, _FLOATS) is None


def test_somebodys_own_module_is_asked_nothing_generated(tmp_path: Path) -> None:
    reference = _pickled(nn.Sequential(_Pair()), tmp_path, _FLOATS)
    reason = prepare(reference)
    assert reason is not None
    assert reason.startswith("_Pair is code of its own")


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    reference = _pickled(_dense(), tmp_path, frame(3))
    assert same_from_threads(next(candidates(reference)), [table(1, 5), table(64, 7)])
