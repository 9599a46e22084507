"""XGBoost models through the C function answer as ``mlflow.pyfunc`` does."""

from __future__ import annotations

import json
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

pytest.importorskip("xgboost")

import mlflow.xgboost
import xgboost

from serinus_server.runtimes.xgboost import candidates, hints, prepare

_SMALL: dict[str, Any] = {"n_estimators": 12, "max_depth": 3, "n_jobs": 1}


def _labels(classes: int) -> Any:
    return np.digitize(matrix(300)[:, 0], np.linspace(-1, 1, classes - 1))


def _classifier(given: Any, classes: int = 2, **options: Any) -> Any:
    return xgboost.XGBClassifier(**_SMALL, **options).fit(given, _labels(classes))


def _early_stopped(given: Any) -> Any:
    model = xgboost.XGBRegressor(**_SMALL, early_stopping_rounds=2, learning_rate=1.0)
    return model.fit(given, matrix(300, 1)[:, 0], eval_set=[(given, matrix(300, 2)[:, 0])])


def _booster(given: Any) -> Any:
    return _classifier(given).get_booster()


_MODELS: dict[str, Callable[[Any], Any]] = {
    "binary": _classifier,
    "three classes": lambda given: _classifier(given, 3),
    "softmax": lambda given: _classifier(given, 3, objective="multi:softmax"),
    "regression": lambda given: xgboost.XGBRegressor(**_SMALL).fit(given, matrix(300)[:, 1]),
    "two outputs": lambda given: xgboost.XGBRegressor(**_SMALL).fit(given, matrix(300)[:, :2]),
    "early stopped": _early_stopped,
    "dart": lambda given: _classifier(given, booster="dart", rate_drop=0.3),
    "random forest": lambda given: xgboost.XGBRFClassifier(**_SMALL).fit(given, _labels(2)),
    "booster": _booster,
}
_INPUTS: dict[str, Callable[[], Any]] = {
    "columns": lambda: frame(300),
    "floats": lambda: frame(300).astype(np.float32),
    "tensor": lambda: matrix(300),
}


_CASES = [(kind, "columns") for kind in _MODELS]
_CASES += [
    (kind, given) for kind in ("binary", "booster") for given in _INPUTS if given != "columns"
]


@pytest.mark.parametrize(("kind", "given"), _CASES)
def test_every_candidate_answers_as_pyfunc(kind: str, given: str, tmp_path: Path) -> None:
    data = _INPUTS[given]()
    reference = saved(mlflow.xgboost, _MODELS[kind](data), tmp_path, data)
    rows = as_table(data[:3]) if isinstance(data, pd.DataFrame) else data[:3]
    assert prepare(reference) is None
    trial = trial_of(reference, hints(reference))
    for candidate in candidates(reference):
        assert answers_itself(candidate, rows)
        assert trial.difference(candidate) is None
        assert is_row_wise(candidate, trial.batches(), seconds=0.02)


def test_a_mixed_table_is_asked_as_its_frame_would_be(tmp_path: Path) -> None:
    data = frame(300)
    data["c1"] = np.arange(300) % 7
    data["c2"] = data["c2"] > 0
    data["c3"] = data["c3"].astype(np.float32)
    reference = saved(mlflow.xgboost, _classifier(data), tmp_path, data)
    candidate = next(candidates(reference))
    assert answers_itself(candidate, as_table(data[:5]))
    assert difference(candidate, reference) is None


@pytest.mark.parametrize("kind", ["binary", "booster"])
def test_odd_inputs_have_the_references_outcome(kind: str, tmp_path: Path) -> None:
    data = frame(300)
    reference = saved(mlflow.xgboost, _MODELS[kind](data), tmp_path, data)
    candidate = next(candidates(reference))
    columns = table(2).columns
    odd = [
        Table({name: columns[name] for name in NAMES[1:]}, 2),
        Table({name: columns[name] for name in reversed(NAMES)}, 2),
        Table({**columns, "more": columns["c0"]}, 2),
        Table({**columns, "c0": ["a", "b"]}, 2),
        Table({**columns, "c0": np.array([np.inf, 0.0])}, 2),
        Table({**columns, "c0": np.array([1e39, 0.0])}, 2),
        Table({**columns, "c0": np.array([np.nan, np.nan])}, 2),
        Table({**columns, "c0": np.array([2**60 + 1, 1])}, 2),
        matrix(2),
        matrix(2)[:, 1:],
        matrix(2)[0],
        frame(2),
        matrix(2).tolist(),
    ]
    for model_input in odd:
        assert same_outcome(candidate, reference, model_input) is None


def test_integers_that_floats_cannot_hold_are_left_to_the_reference(tmp_path: Path) -> None:
    data = frame(300)
    data["c0"] = np.arange(300)
    reference = saved(mlflow.xgboost, _classifier(data), tmp_path, data)
    candidate = next(candidates(reference))
    big = data[:2].assign(c0=np.array([2**53 + 1, -(2**60)]))
    assert not answers_itself(candidate, as_table(big))
    assert same_outcome(candidate, reference, as_table(big)) is None


def test_the_value_that_means_missing_is_the_models(tmp_path: Path) -> None:
    data = frame(300)
    data.iloc[::3, 0] = -999.0
    reference = saved(mlflow.xgboost, _classifier(data, missing=-999.0), tmp_path, data)
    candidate = next(candidates(reference))
    assert same_outcome(candidate, reference, as_table(data)) is None


class _Own(xgboost.XGBClassifier):  # type: ignore[misc]
    """A class that XGBoost does not know."""


def test_somebodys_own_class_is_asked_nothing_generated(tmp_path: Path) -> None:
    model = _Own(**_SMALL).fit(frame(300), _labels(2))
    reference = saved(mlflow.xgboost, model, tmp_path, frame(3))
    assert prepare(reference) == "_Own is no model of XGBoost"
    assert list(candidates(reference)) == []


def test_categories_linear_boosters_and_rankers_have_no_fast_way(tmp_path: Path) -> None:
    categories = frame(300).assign(c0=pd.Series(["a", "b", "c"] * 100, dtype="category"))
    models = {
        "category": _classifier(categories, enable_categorical=True),
        "linear": xgboost.XGBRegressor(booster="gblinear", n_jobs=1).fit(frame(300), _labels(2)),
        "ranker": xgboost.XGBRanker(**_SMALL).fit(frame(300), _labels(2), group=[150, 150]),
    }
    for name, model in models.items():
        reference = saved(mlflow.xgboost, model, tmp_path / name, None)
        assert list(candidates(reference)) == []


def test_hints_are_the_thresholds_of_the_trees(tmp_path: Path) -> None:
    reference = saved(mlflow.xgboost, _classifier(frame(300)), tmp_path, frame(3))
    trees = reference.model.get_raw_model().get_booster().get_dump(dump_format="json")
    first = json.loads(trees[0])
    position = NAMES.index(first["split"])
    assert hints(reference).values[position][0] == pytest.approx(first["split_condition"])


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    reference = saved(mlflow.xgboost, _classifier(frame(300), 3), tmp_path, frame(3))
    candidate = next(candidates(reference))
    assert same_from_threads(candidate, [table(1, 5), table(7, 6), table(64, 7)])
