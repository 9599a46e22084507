"""Boosted trees, without what scikit-learn does around them on each call.

Gradient boosting asks a dummy classifier for the prior every time; here it is asked once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serinus_server.runtimes.sklearn.histograms import histogram_heads
from serinus_server.runtimes.sklearn.kinds import kind_of
from serinus_server.runtimes.sklearn.matrix import Matrix
from serinus_server.runtimes.sklearn.trees import Finish, Slim, TreeHead

_DUMMIES = frozenset({"DummyClassifier", "DummyRegressor"})


def boosting_heads(estimator: Any, method: str) -> list[Any]:
    """Ways to ask a boosted model; none for what starts from a model of its own."""
    match kind_of(estimator):
        case "GradientBoostingClassifier" | "GradientBoostingRegressor":
            return _plain(estimator, method)
        case "HistGradientBoostingClassifier" | "HistGradientBoostingRegressor":
            finish = _finish(estimator, method, at_zero=False)
            return [] if finish is None else histogram_heads(estimator, finish)
    return []


def _plain(estimator: Any, method: str) -> list[TreeHead]:
    if not isinstance(estimator.init_, str) and kind_of(estimator.init_) not in _DUMMIES:
        return []
    finish = _finish(estimator, method, at_zero=True)
    if finish is None:
        return []
    from sklearn.ensemble._gradient_boosting import predict_stages

    blank = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    start = estimator._raw_predict_init(blank)  # noqa: SLF001
    stages = np.empty(estimator.estimators_.shape, dtype=object)
    for place, tree in np.ndenumerate(estimator.estimators_):
        stages[place] = Slim(tree.tree_)
    rate = estimator.learning_rate

    def scores(matrix: Matrix) -> Matrix:
        total = np.repeat(start, len(matrix), axis=0)
        predict_stages(stages, matrix, rate, total)
        return total

    return [TreeHead("boosting", scores, finish, nan_is_fine=False)]


def _finish(estimator: Any, method: str, *, at_zero: bool) -> Finish | None:
    """From scores to answers; ``at_zero`` is whether a score of 0 means the second class."""
    loss = estimator._loss  # noqa: SLF001
    if kind_of(estimator).endswith("Regressor"):
        if method != "predict":
            return None
        if kind_of(estimator).startswith("Hist"):
            inverse = loss.link.inverse
            return lambda scores: inverse(scores.ravel())
        return np.ravel
    classes = estimator.classes_

    def labels(scores: Matrix) -> Matrix:
        if scores.shape[1] > 1:
            chosen = np.argmax(scores, axis=1)
        else:
            chosen = (scores.ravel() >= 0 if at_zero else scores.ravel() > 0).astype(int)
        return classes[chosen]  # type: ignore[no-any-return]

    if method == "predict":
        return labels
    if method == "predict_proba":
        return loss.predict_proba  # type: ignore[no-any-return]
    if method == "predict_log_proba":
        return lambda scores: np.log(loss.predict_proba(scores))
    return None
