"""Single trees and forests, without a dispatch of threads for each tree.

scikit-learn spends 30 microseconds on every tree of a forest, most of it for joblib. Its gradient
boosting walks through all trees in one call, and that function serves forests just as well: as one
stage of so many "classes", each tree tells its leaf, or its value, in a column of its own. The
values are then added up tree by tree, as scikit-learn does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from serinus_server.runtimes.sklearn.kinds import kind_of
from serinus_server.runtimes.sklearn.matrix import Matrix, check

Finish: TypeAlias = Callable[[Matrix], Matrix]

_TREES = frozenset({
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
})  # fmt: skip
_FORESTS = frozenset({
    "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier",
    "ExtraTreesRegressor",
})  # fmt: skip
_CHUNK = 512  # rows; the walk holds Python's lock, and a forest's leaves take memory
_NODE = 72  # bytes of a node in a copy of a tree, besides its values
_LARGEST_COPY = 32 * 1024 * 1024  # bytes; larger forests are asked tree by tree


class TreeHead:
    """A model of trees that compare in float32: ``scores`` sums them up, ``finish`` answers."""

    def __init__(
        self, name: str, scores: Callable[[Matrix], Matrix], finish: Finish, *, nan_is_fine: bool
    ) -> None:
        self.name = name
        self.nan_is_fine = nan_is_fine
        self._scores = scores
        self._finish = finish

    def __call__(self, matrix: Matrix) -> Matrix:
        """The answers to the rows of ``matrix``."""
        narrow = np.ascontiguousarray(matrix, dtype=np.float32)
        check(narrow, self.nan_is_fine)  # what float32 cannot hold is infinite now
        if len(narrow) <= _CHUNK:
            return self._finish(self._scores(narrow))
        starts = range(0, len(narrow), _CHUNK)
        chunks = [self._scores(narrow[start : start + _CHUNK]) for start in starts]
        return self._finish(np.concatenate(chunks))


class Slim:
    """All of an estimator that scikit-learn's walk through trees asks for."""

    __slots__ = ("tree_",)

    def __init__(self, tree: Any) -> None:
        self.tree_ = tree


def tree_heads(estimator: Any, method: str) -> list[TreeHead]:
    """Ways to ask a tree or a forest, the fastest first; none for what has several outputs."""
    kind = kind_of(estimator)
    if kind not in _TREES | _FORESTS or estimator.n_outputs_ != 1:
        return []
    finish = _finish(estimator, method)
    if finish is None:
        return []
    if kind in _TREES:
        scores = estimator.tree_.predict
        return [TreeHead("tree", scores, finish, nan_is_fine=_takes_nan(estimator))]
    trees = [each.tree_ for each in estimator.estimators_]
    heads = []
    if kind.endswith("Regressor"):
        heads.append(TreeHead("forest", _Regression(trees), finish, nan_is_fine=False))
    elif (
        sum(tree.node_count * (_NODE + 8 * tree.value.shape[2]) for tree in trees) <= _LARGEST_COPY
    ):
        heads.append(TreeHead("forest", _Classification(trees), finish, nan_is_fine=False))
    takes_nan = _takes_nan(estimator.estimators_[0])
    heads.append(TreeHead("forest-by-trees", _one_by_one(trees), finish, nan_is_fine=takes_nan))
    return heads


def steady(estimator: Any) -> None:
    """Let a forest add up its trees in their order.

    With several threads, scikit-learn adds them in the order in which they come, so that the last
    bits of its answers differ from call to call. One thread gives one of these answers always.
    """
    if kind_of(estimator) in _FORESTS:
        estimator.n_jobs = 1


def _takes_nan(tree: Any) -> bool:
    return bool(tree._support_missing_values(np.zeros((1, 1))))  # noqa: SLF001


def _finish(estimator: Any, method: str) -> Finish | None:
    regressor = kind_of(estimator).endswith("Regressor")
    if regressor:
        single = kind_of(estimator) in _TREES
        if method != "predict":
            return None
        return (lambda values: values[:, 0]) if single else (lambda values: values.reshape(-1))
    classes = estimator.classes_
    if method == "predict":
        return lambda scores: classes.take(np.argmax(scores, axis=1), axis=0)
    if method == "predict_proba":
        return lambda scores: scores
    return np.log if method == "predict_log_proba" else None


class _Regression:
    """The mean of a forest's values."""

    def __init__(self, trees: list[Any]) -> None:
        from sklearn.ensemble._gradient_boosting import predict_stages

        self._walk = predict_stages
        self._stage = _one_stage(trees)

    def __call__(self, matrix: Matrix) -> Matrix:
        values = np.zeros((len(matrix), self._stage.shape[1]))
        self._walk(self._stage, matrix, 1.0, values)
        # Tree by tree: np.sum would add in pairs.
        mean: Matrix = np.add.accumulate(values, axis=1)[:, -1]
        mean /= self._stage.shape[1]
        return mean


class _Classification:
    """The mean of a forest's probabilities.

    The trees are copies whose value is the number of the node, among the nodes of all trees.
    """

    def __init__(self, trees: list[Any]) -> None:
        from sklearn.ensemble._gradient_boosting import predict_stages

        self._walk = predict_stages
        first = 0
        copies = []
        for tree in trees:
            copies.append(_with_numbers(tree, first))
            first += tree.node_count
        self._stage = _one_stage(copies)
        self._values = np.concatenate([tree.value[:, 0, :] for tree in trees])

    def __call__(self, matrix: Matrix) -> Matrix:
        leaves = np.zeros((len(matrix), self._stage.shape[1]))
        self._walk(self._stage, matrix, 1.0, leaves)
        values = self._values.take(leaves.astype(np.intp), axis=0)
        # With one class only, a sum along trees would add in pairs.
        single = values.shape[2] == 1
        mean: Matrix = (
            np.add.accumulate(values, axis=1)[:, -1] if single else np.add.reduce(values, axis=1)
        )
        mean /= self._stage.shape[1]
        return mean


def _with_numbers(tree: Any, first: int) -> Any:
    """A copy of ``tree`` with one output: the number of the node, counted from ``first``."""
    numbers = np.arange(first, first + tree.node_count, dtype=np.float64).reshape(-1, 1, 1)
    copy = type(tree)(tree.n_features, np.array([1], dtype=np.intp), 1)
    copy.__setstate__({**tree.__getstate__(), "values": numbers})
    return copy


def _one_stage(trees: list[Any]) -> Matrix:
    stage = np.empty((1, len(trees)), dtype=object)
    for number, tree in enumerate(trees):
        stage[0, number] = Slim(tree)
    return stage


def _one_by_one(trees: list[Any]) -> Callable[[Matrix], Matrix]:
    def scores(matrix: Matrix) -> Matrix:
        total: Matrix = trees[0].predict(matrix)
        for tree in trees[1:]:
            total += tree.predict(matrix)
        total /= len(trees)
        return total

    return scores
