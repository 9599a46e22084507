"""Boosted trees, without what scikit-learn does around them on each call.

Gradient boosting asks a dummy classifier for the prior every time; here it is asked once. The
histogram variant gets one thread: with a few rows, waking others takes longer than all trees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from serinus_server.runtimes.sklearn.kinds import kind_of
from serinus_server.runtimes.sklearn.matrix import Matrix, check
from serinus_server.runtimes.sklearn.trees import Finish, Slim, TreeHead

_DUMMIES = frozenset({"DummyClassifier", "DummyRegressor"})


def boosting_heads(estimator: Any, method: str) -> list[Any]:
    """Ways to ask a boosted model; none for what starts from a model of its own."""
    match kind_of(estimator):
        case "GradientBoostingClassifier" | "GradientBoostingRegressor":
            return _plain(estimator, method)
        case "HistGradientBoostingClassifier" | "HistGradientBoostingRegressor":
            return _histogram(estimator, method)
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


class _HistogramHead:
    """Boosted trees over float64, in which missing values have their own way."""

    name = "hist-boosting"
    nan_is_fine = True

    def __init__(self, scores: Callable[[Matrix], Matrix], finish: Finish) -> None:
        self._scores = scores
        self._finish = finish

    def __call__(self, matrix: Matrix) -> Matrix:
        """The answers to the rows of ``matrix``."""
        check(matrix, nan_is_fine=True)
        return self._finish(self._scores(matrix.astype(np.float64, copy=False)))


def _histogram(estimator: Any, method: str) -> list[_HistogramHead]:
    finish = _finish(estimator, method, at_zero=False)
    if finish is None or getattr(estimator, "_preprocessor", None) is not None:
        return []  # categories are encoded first
    from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data as walk

    start = estimator._baseline_prediction  # noqa: SLF001
    known, places = estimator._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
    trees = [
        [(tree.nodes, tree.raw_left_cat_bitsets) for tree in iteration]
        for iteration in estimator._predictors  # noqa: SLF001
    ]
    width = estimator.n_trees_per_iteration_

    def scores(matrix: Matrix) -> Matrix:
        total = np.zeros((len(matrix), width), dtype=start.dtype, order="F")
        total += start
        values = np.empty(len(matrix))
        for iteration in trees:
            for number, (nodes, bitsets) in enumerate(iteration):
                walk(nodes, matrix, bitsets, known, places, 1, values)
                total[:, number] += values
        return total

    return [_HistogramHead(scores, finish)]
