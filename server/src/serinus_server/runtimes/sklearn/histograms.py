"""Histogram gradient boosting: all trees in one call for a few rows, tree by tree for many.

scikit-learn calls its walk once for each tree, and gives it threads; with a few rows the calls and
the waking of threads take longer than all the trees. Here the trees are branches of one large
tree, which first divides by the tree's number, and each row is asked once for every tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from serinus_server.runtimes.sklearn.matrix import Matrix, check

_MOST_VALUES = (
    40_000  # of the rows repeated for every tree; with more, one tree at a time is faster
)
_MOST_NODES = 500_000  # of which copies are kept


class HistogramHead:
    """Boosted trees over float64, in which missing values have their own way."""

    name = "hist-boosting"
    nan_is_fine = True

    def __init__(
        self, scores: Callable[[Matrix], Matrix], finish: Callable[[Matrix], Matrix]
    ) -> None:
        self._scores = scores
        self._finish = finish

    def __call__(self, matrix: Matrix) -> Matrix:
        """The answers to the rows of ``matrix``."""
        check(matrix, nan_is_fine=True)
        return self._finish(self._scores(matrix.astype(np.float64, copy=False)))


def histogram_heads(estimator: Any, finish: Callable[[Matrix], Matrix]) -> list[HistogramHead]:
    """The way to ask ``estimator``, whose scores ``finish`` turns into answers.

    None for models with categories, which are encoded first.
    """
    if getattr(estimator, "_preprocessor", None) is not None:
        return []
    trees = _Trees(estimator)
    if sum(len(nodes) for nodes, _ in trees.each) > _MOST_NODES:
        return [HistogramHead(trees.one_by_one, finish)]
    together = _Together(trees)

    def scores(matrix: Matrix) -> Matrix:
        few = len(matrix) * together.values_per_row <= _MOST_VALUES
        return together(matrix) if few else trees.one_by_one(matrix)

    return [HistogramHead(scores, finish)]


class _Trees:
    """The trees of a model in the order in which they are added up."""

    def __init__(self, estimator: Any) -> None:
        from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data

        self._walk = _predict_from_raw_data
        mapper = estimator._bin_mapper  # noqa: SLF001
        self._known, self._places = mapper.make_known_categories_bitsets()
        self.start: Matrix = estimator._baseline_prediction  # noqa: SLF001
        self.outputs = int(estimator.n_trees_per_iteration_)
        self.columns = int(estimator.n_features_in_)
        # Nodes, and the bits of categories, which models without categories have none of.
        self.each: list[tuple[Matrix, Matrix]] = [
            (tree.nodes, tree.raw_left_cat_bitsets)
            for iteration in estimator._predictors  # noqa: SLF001
            for tree in iteration
        ]

    def walk(self, tree: tuple[Matrix, Matrix], matrix: Matrix, values: Matrix) -> None:
        """Write the value of each row's leaf into ``values``, with one thread."""
        nodes, bits = tree
        self._walk(nodes, matrix, bits, self._known, self._places, 1, values)

    def one_by_one(self, matrix: Matrix) -> Matrix:
        """The sums of all trees (rows, outputs)."""
        total = np.zeros((len(matrix), self.outputs), dtype=self.start.dtype, order="F")
        total += self.start
        values = np.empty(len(matrix))
        for number, tree in enumerate(self.each):
            self.walk(tree, matrix, values)
            total[:, number % self.outputs] += values
        return total


class _Together:
    """All trees as one, in which an additional last column chooses the tree."""

    def __init__(self, trees: _Trees) -> None:
        self._trees = trees
        self._numbers = np.arange(len(trees.each), dtype=np.float64)
        self.values_per_row = len(trees.each) * (trees.columns + 1)
        self._tree = (_grafted([nodes for nodes, _ in trees.each], trees.columns), trees.each[0][1])

    def __call__(self, matrix: Matrix) -> Matrix:
        """The sums of all trees (rows, outputs)."""
        rows, columns = matrix.shape
        count = len(self._numbers)
        outputs = self._trees.outputs
        repeated = np.empty((rows, count, columns + 1))
        repeated[:, :, :columns] = matrix[:, None, :]
        repeated[:, :, columns] = self._numbers
        values = np.empty(rows * count)
        self._trees.walk(self._tree, repeated.reshape(rows * count, columns + 1), values)
        terms = np.empty((rows, count // outputs + 1, outputs))
        terms[:, 0] = self._trees.start
        terms[:, 1:] = values.reshape(rows, -1, outputs)
        # One after the other, as they are added up one by one: np.sum would add in pairs.
        total: Matrix = np.add.accumulate(terms, axis=1)[:, -1]
        return total


def _grafted(trees: list[Matrix], column: int) -> Matrix:
    """``trees`` below inner nodes that divide by ``column``: tree k is where its value is k."""
    inner = np.zeros(len(trees) - 1, dtype=trees[0].dtype)
    starts = np.cumsum([len(inner), *map(len, trees[:-1])]).astype(inner["left"].dtype)
    made = iter(range(len(inner)))

    def divide(first: int, last: int) -> int:
        """The node that leads to the trees from ``first`` to ``last``."""
        if first == last:
            return int(starts[first])
        here = next(made)
        middle = (first + last) // 2
        inner[here]["feature_idx"] = column
        inner[here]["num_threshold"] = middle + 0.5
        inner[here]["left"] = divide(first, middle)
        inner[here]["right"] = divide(middle + 1, last)
        return here

    divide(0, len(trees) - 1)
    copies = []
    for start, tree in zip(starts, trees, strict=True):
        moved = tree.copy()
        split = moved["is_leaf"] == 0
        moved["left"][split] += start
        moved["right"][split] += start
        copies.append(moved)
    return np.concatenate([inner, *copies])
