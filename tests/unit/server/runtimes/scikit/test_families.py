"""Every family of estimators against the reference, for every kind of signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier
from threadpoolctl import threadpool_limits

from .models import CLASSES, FEATURES, GIVEN, LABELS, TARGET, own_share, proved, reference_of

_FOREST: dict[str, Any] = {"n_estimators": 12, "random_state": 0}
_FAMILIES: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "logistic, two classes": (LogisticRegression, LABELS, "predict_proba"),
    "logistic, labels": (LogisticRegression, CLASSES, "predict"),
    "logistic, three classes": (LogisticRegression, CLASSES, "predict_proba"),
    "logistic, logarithms": (LogisticRegression, CLASSES, "predict_log_proba"),
    "sgd, one against rest": (
        lambda: SGDClassifier(loss="log_loss", random_state=0), CLASSES, "predict_proba",
    ),
    "sgd regression": (lambda: SGDRegressor(random_state=0), TARGET, "predict"),
    "support vectors": (lambda: LinearSVC(random_state=0), CLASSES, "predict"),
    "perceptron": (lambda: Perceptron(random_state=0), LABELS, "predict"),
    "ridge classes": (RidgeClassifier, CLASSES, "predict"),
    "least squares": (LinearRegression, TARGET, "predict"),
    "two targets": (LinearRegression, FEATURES[:, :2] ** 2, "predict"),
    "ridge": (Ridge, TARGET, "predict"),
    "elastic net": (lambda: ElasticNet(alpha=0.1), TARGET, "predict"),
    "tree": (lambda: DecisionTreeClassifier(max_depth=4, random_state=0), CLASSES, "predict_proba"),
    "tree, labels": (lambda: DecisionTreeClassifier(random_state=0), CLASSES, "predict"),
    "tree, values": (lambda: DecisionTreeRegressor(max_depth=5, random_state=0), TARGET, "predict"),
    "random tree": (lambda: ExtraTreeClassifier(random_state=0), LABELS, "predict"),
    "forest": (
        lambda: RandomForestClassifier(max_depth=4, **_FOREST), CLASSES, "predict_proba",
    ),
    "forest, labels": (lambda: RandomForestClassifier(**_FOREST), LABELS, "predict"),
    "forest, logarithms": (
        lambda: RandomForestClassifier(max_depth=3, **_FOREST), LABELS, "predict_log_proba",
    ),
    "forest, values": (lambda: RandomForestRegressor(n_jobs=2, **_FOREST), TARGET, "predict"),
    "extra trees": (lambda: ExtraTreesClassifier(**_FOREST), CLASSES, "predict"),
    "extra trees, values": (lambda: ExtraTreesRegressor(**_FOREST), TARGET, "predict"),
    "boosting": (lambda: GradientBoostingClassifier(**_FOREST), LABELS, "predict_proba"),
    "boosting, labels": (lambda: GradientBoostingClassifier(**_FOREST), CLASSES, "predict"),
    "boosting from zero": (
        lambda: GradientBoostingClassifier(init="zero", **_FOREST), CLASSES, "predict_proba",
    ),
    "boosting, values": (lambda: GradientBoostingRegressor(**_FOREST), TARGET, "predict"),
    "histograms": (
        lambda: HistGradientBoostingClassifier(max_iter=8), LABELS, "predict_proba",
    ),
    "histograms, classes": (lambda: HistGradientBoostingClassifier(max_iter=5), CLASSES, "predict"),
    "histograms, values": (lambda: HistGradientBoostingRegressor(max_iter=8), TARGET, "predict"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """OpenMP's threads wait for each other on a busy machine."""
    with threadpool_limits(1, user_api="openmp"):
        yield


@pytest.mark.filterwarnings("ignore:X has feature names", "ignore:X does not have valid")
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("family", _FAMILIES)
def test_a_fast_runtime_answers_as_pyfunc_and_mostly_by_itself(family: str, given: str) -> None:
    make, target, method = _FAMILIES[family]
    candidate, trial = proved(reference_of(make(), target, given, method))
    assert own_share(candidate, trial) > 0.5
