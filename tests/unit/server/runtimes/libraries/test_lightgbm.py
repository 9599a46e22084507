"""LightGBM models through the C functions answer as ``mlflow.pyfunc`` does."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.parity import is_row_wise

from .models import (
    NAMES,
    answers_itself,
    as_table,
    difference,
    frame,
    matrix,
    same_from_threads,
    same_outcome,
    saved,
    table,
    trial_of,
)

pytest.importorskip("lightgbm")

import lightgbm
import mlflow.lightgbm

from serinus_server.runtimes.lightgbm import candidates, hints, prepare

_SMALL: dict[str, Any] = {
    "n_estimators": 12, "num_leaves": 7, "min_child_samples": 5, "n_jobs": 1, "verbose": -1,
}  # fmt: skip


def _labels(classes: int) -> Any:
    return np.digitize(matrix(300)[:, 0], np.linspace(-1, 1, classes - 1))


def _classifier(given: Any, classes: int = 2, **options: Any) -> Any:
    return lightgbm.LGBMClassifier(**_SMALL, **options).fit(given, _labels(classes))


def _regressor(given: Any, **options: Any) -> Any:
    return lightgbm.LGBMRegressor(**_SMALL, **options).fit(given, matrix(300)[:, 1])


def _named(given: Any) -> Any:
    names = np.array(["no", "yes"])[_labels(2)]
    return lightgbm.LGBMClassifier(**_SMALL).fit(given, names)


def _early_stopped(given: Any) -> Any:
    return lightgbm.LGBMRegressor(**_SMALL, learning_rate=1.0).fit(
        given,
        matrix(300, 1)[:, 0],
        eval_X=given,
        eval_y=matrix(300, 2)[:, 0],
        callbacks=[lightgbm.early_stopping(2, verbose=False)],
    )


_MODELS: dict[str, Callable[[Any], Any]] = {
    "binary": _classifier,
    "named classes": _named,
    "three classes": lambda given: _classifier(given, 3),
    "regression": _regressor,
    "linear trees": lambda given: _regressor(given, linear_tree=True),
    "early stopped": _early_stopped,
    "early stopping of predictions": lambda given: _classifier(
        given, pred_early_stop=True, pred_early_stop_freq=2, pred_early_stop_margin=0.1
    ),
    "dart": lambda given: _classifier(given, boosting_type="dart"),
    "booster": lambda given: _classifier(given, 3).booster_,
}
_INPUTS: dict[str, Callable[[], Any]] = {
    "columns": lambda: frame(300),
    "floats": lambda: frame(300).astype(np.float32),
    "tensor": lambda: matrix(300),
    "float tensor": lambda: matrix(300).astype(np.float32),
}


_CASES = [(kind, "columns") for kind in _MODELS]
_CASES += [
    (kind, given) for kind in ("binary", "booster") for given in _INPUTS if given != "columns"
]


@pytest.mark.parametrize(("kind", "given"), _CASES)
def test_every_candidate_answers_as_pyfunc(kind: str, given: str, tmp_path: Path) -> None:
    data = _INPUTS[given]()
    reference = saved(mlflow.lightgbm, _MODELS[kind](data), tmp_path, data)
    rows = as_table(data[:3]) if isinstance(data, pd.DataFrame) else data[:3]
    assert prepare(reference) is None
    trial = trial_of(reference, hints(reference))
    for candidate in candidates(reference):
        assert answers_itself(candidate, rows)
        assert trial.difference(candidate) is None
        assert is_row_wise(candidate, trial.batches(), seconds=0.02)


def test_many_rows_are_asked_on_all_threads_with_the_same_answer(tmp_path: Path) -> None:
    reference = saved(mlflow.lightgbm, _regressor(frame(300)), tmp_path, frame(3))
    assert same_outcome(next(candidates(reference)), reference, table(3000, 9)) is None


def test_numbers_of_categories_are_asked_as_their_frame_would_be(tmp_path: Path) -> None:
    data = frame(300)
    data["c1"] = np.arange(300) % 7
    data["c2"] = data["c2"] > 0
    model = lightgbm.LGBMClassifier(**_SMALL, min_data_per_group=1, cat_smooth=0)
    model.fit(data, np.arange(300) % 7 // 2 % 2, categorical_feature=["c1"])
    reference = saved(mlflow.lightgbm, model, tmp_path, data)
    candidate = next(candidates(reference))
    assert set(hints(reference).values[1]) <= set(range(7))
    assert answers_itself(candidate, as_table(data[:5]))
    assert difference(candidate, reference, hints(reference)) is None
    assert same_outcome(candidate, reference, as_table(data)) is None


def test_odd_inputs_have_the_references_outcome(tmp_path: Path) -> None:
    reference = saved(mlflow.lightgbm, _classifier(frame(300)), tmp_path, frame(3))
    candidate = next(candidates(reference))
    columns = table(2).columns
    odd = [
        Table({name: columns[name] for name in NAMES[1:]}, 2),
        Table({name: columns[name] for name in reversed(NAMES)}, 2),
        Table({**columns, "more": columns["c0"]}, 2),
        Table({**columns, "c0": ["a", "b"]}, 2),
        Table({**columns, "c0": np.array([np.inf, -np.inf])}, 2),
        Table({**columns, "c0": np.array([1e39, np.nan])}, 2),
        Table({**columns, "c0": np.array([2**60 + 1, 1])}, 2),
        matrix(2),
        matrix(2)[:, 1:],
        matrix(2)[0],
        matrix(2).round().astype(np.int64),
        np.asfortranarray(matrix(3)),
        matrix(6)[::2],
        frame(2),
        matrix(2).tolist(),
    ]
    for model_input in odd:
        assert same_outcome(candidate, reference, model_input) is None


def test_categories_of_pandas_have_no_fast_way(tmp_path: Path) -> None:
    data = frame(300).assign(c0=pd.Series(["a", "b", "c"] * 100, dtype="category"))
    reference = saved(mlflow.lightgbm, _classifier(data).booster_, tmp_path, None)
    assert list(candidates(reference)) == []


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    reference = saved(mlflow.lightgbm, _classifier(frame(300), 3), tmp_path, frame(3))
    candidate = next(candidates(reference))
    assert same_from_threads(candidate, [table(1, 4), table(1, 5), table(7, 6), table(64, 7)])


def test_a_candidate_that_goes_leaves_the_others_alone(tmp_path: Path) -> None:
    reference = saved(mlflow.lightgbm, _classifier(frame(300)), tmp_path, frame(3))
    want = reference.predict(table(1), None)
    next(candidates(reference)).predict(table(1), None)
    gc.collect()
    assert next(candidates(reference)).predict(table(1), None) == want
