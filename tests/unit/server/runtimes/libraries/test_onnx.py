"""ONNX models by their session answer as ``mlflow.pyfunc`` does."""

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

pytest.importorskip("onnxruntime")
pytest.importorskip("skl2onnx")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow.onnx
    import onnx
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression

from serinus_server.runtimes.onnx import candidates, hints

_LABELS = (matrix(300)[:, 0] > 0).astype(int)


def _converted(model: Any, **options: Any) -> Any:
    fitted = model.fit(matrix(300), _LABELS)
    return to_onnx(fitted, matrix(1).astype(np.float32), options=options or None)


def _sum_of_columns() -> Any:
    """Takes every column as an input of its own, and gives their sum and the first column."""
    value, graph = onnx.helper.make_tensor_value_info, onnx.helper.make_graph
    double, names = onnx.TensorProto.DOUBLE, [f"c{index}" for index in range(WIDTH)]
    return onnx.helper.make_model(
        graph(
            [
                onnx.helper.make_node("Sum", names, ["sum"]),
                onnx.helper.make_node("Identity", names[:1], ["first"]),
            ],
            "sum",
            [value(name, double, ["rows"]) for name in names],
            [value(name, double, ["rows"]) for name in ("sum", "first")],
        ),
        ir_version=10,
        opset_imports=[onnx.helper.make_opsetid("", 17)],
    )


_MODELS: dict[str, Callable[[], Any]] = {
    "linear": lambda: _converted(LinearRegression()),
    "classifier": lambda: _converted(LogisticRegression(), zipmap=False),
    "list of dictionaries": lambda: _converted(LogisticRegression()),
    "trees": lambda: _converted(GradientBoostingRegressor(n_estimators=20)),
}
_TABLES = ("linear", "list of dictionaries", "trees")


@pytest.mark.parametrize("kind", _MODELS)
def test_sessions_answer_arrays_as_pyfunc(kind: str, tmp_path: Path) -> None:
    data = matrix(3).astype(np.float32)
    reference = saved(mlflow.onnx, _MODELS[kind](), tmp_path, data)
    candidate = next(candidates(reference))
    assert answers_itself(candidate, data)
    assert difference(candidate, reference, hints(reference)) is None


@pytest.mark.parametrize("kind", _TABLES)
def test_sessions_answer_tables_as_pyfunc(kind: str, tmp_path: Path) -> None:
    reference = saved(mlflow.onnx, _MODELS[kind](), tmp_path, frame(3))
    candidate = next(candidates(reference))
    assert answers_itself(candidate, table(3))
    assert difference(candidate, reference) is None


def test_columns_may_be_inputs_of_their_own(tmp_path: Path) -> None:
    reference = saved(mlflow.onnx, _sum_of_columns(), tmp_path, frame(3))
    candidate = next(candidates(reference))
    assert answers_itself(candidate, table(3))
    assert difference(candidate, reference) is None


def test_inputs_by_name_are_asked_as_pyfunc_asks_them(tmp_path: Path) -> None:
    given = {f"c{index}": matrix(3)[:, index] for index in range(WIDTH)}
    reference = saved(mlflow.onnx, _sum_of_columns(), tmp_path, given)
    candidate = next(candidates(reference))
    assert answers_itself(candidate, given)
    assert difference(candidate, reference) is None
    assert same_outcome(candidate, reference, {**given, "c0": given["c0"][:2]}) is None


def test_tables_of_several_types_have_the_references_outcome(tmp_path: Path) -> None:
    data = frame(20)
    data["c1"] = np.arange(20)
    data["c2"] = data["c2"].astype(np.float32)
    reference = saved(mlflow.onnx, _MODELS["linear"](), tmp_path, data)
    candidate = next(candidates(reference))
    assert answers_itself(candidate, as_table(data))
    assert difference(candidate, reference) is None
    flags = data.assign(c3=data["c3"] > 0)
    reference = saved(mlflow.onnx, _MODELS["linear"](), tmp_path / "flags", flags)
    candidate = next(candidates(reference))
    assert not answers_itself(candidate, as_table(flags))
    assert same_outcome(candidate, reference, as_table(flags)) is None


@pytest.mark.parametrize("given", [None, matrix(3).astype(np.float32), frame(3)])
def test_odd_inputs_have_the_references_outcome(given: Any, tmp_path: Path) -> None:
    reference = saved(mlflow.onnx, _MODELS["trees"](), tmp_path, given)
    candidate = next(candidates(reference))
    columns = table(2).columns
    odd = [
        Table({**columns, "c0": ["a", "b"]}, 2),
        Table({**columns, "c0": np.array([np.nan, 1e300])}, 2),
        matrix(2).astype(np.float32),
        matrix(2).astype(np.float32)[:, 1:],
        matrix(2).astype(np.float32)[0],
        matrix(2).round().astype(np.int64),
        {"no such input": matrix(2)},
        matrix(2).tolist(),
    ]
    for model_input in odd:
        assert same_outcome(candidate, reference, model_input) is None


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    reference = saved(mlflow.onnx, _MODELS["trees"](), tmp_path, frame(3))
    assert same_from_threads(next(candidates(reference)), [table(1, 5), table(64, 7)])
