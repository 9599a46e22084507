"""Linear models: one product of matrices, and what each model makes of the scores.

BLAS adds up a row in another order when other rows are beside it, so the last bits of an answer
depend on the rows that are asked together. Every request therefore gets the very product that it
would get alone: in a stack of one-row matrices NumPy multiplies each by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from serinus_server.runtimes.fast import Doubt
from serinus_server.runtimes.sklearn.kinds import kind_of
from serinus_server.runtimes.sklearn.matrix import Matrix, check

Order: TypeAlias = Literal["C", "F", "K"]
Finish: TypeAlias = Callable[[Matrix], Matrix]

_REGRESSORS = frozenset({
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV",
    "Lars", "LassoLars", "BayesianRidge", "ARDRegression", "HuberRegressor", "LinearSVR",
    "TheilSenRegressor", "SGDRegressor", "OrthogonalMatchingPursuit",
})  # fmt: skip
_CLASSIFIERS = frozenset({
    "LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "LinearSVC", "RidgeClassifier",
    "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier", "LinearDiscriminantAnalysis",
})  # fmt: skip


class LinearHead:
    """The last step of a linear model. Not row-wise; `parts` answers requests as though alone.

    ``order`` is the memory order of many rows, which BLAS' last bits depend on: a DataFrame's are
    in Fortran's order ("F") as a rule, and an array's are as they came ("K").
    """

    name = "linear"
    nan_is_fine = False

    def __init__(self, weights: Matrix, intercept: Any, finish: Finish, order: Order) -> None:
        self._weights = weights
        self._intercept = intercept
        self._finish = finish
        self._order = order

    def __call__(self, matrix: Matrix) -> Matrix:
        """The answers to one request."""
        check(matrix, nan_is_fine=False)
        return self._finish(self._product(matrix) + self._intercept)

    def parts(self, matrix: Matrix, sizes: Sequence[int]) -> Matrix:
        """The answers to requests of ``sizes`` rows, one after the other."""
        check(matrix, nan_is_fine=False)
        if not matrix.flags.c_contiguous:  # a request alone has its rows in C's order
            raise Doubt
        if len(sizes) == len(matrix):
            product = self._single_rows(matrix)
        else:
            pieces = []
            start = 0
            for size in sizes:
                pieces.append(self._product(matrix[start : start + size]))
                start += size
            product = np.concatenate(pieces)
        return self._finish(product + self._intercept)

    def _product(self, matrix: Matrix) -> Matrix:
        if len(matrix) > 1:
            matrix = np.asarray(matrix, order=self._order)
        product: Matrix = _as_numbers(matrix) @ self._weights
        return product

    def _single_rows(self, matrix: Matrix) -> Matrix:
        rows = np.ascontiguousarray(_as_numbers(matrix))[:, None, :]
        return (rows @ self._weights)[:, 0]


class SparseLinearHead:
    """A linear model behind a sparse matrix: products are added up value by value, in their order.

    scipy's loop does so for each row alone, and a zero changes no sum, so that a dense matrix has
    the same answers when it is given as a sparse one with all its zeros. Row-wise.
    """

    name = "linear-sparse"

    def __init__(self, weights: Matrix, intercept: Any, finish: Finish) -> None:
        from scipy.sparse import _sparsetools

        self._multiply = _sparsetools.csr_matvecs
        self._weights = np.ascontiguousarray(weights, dtype=np.float64).ravel()
        self._width = weights.shape[1] if weights.ndim == 2 else 1
        self._shape = (-1, self._width) if weights.ndim == 2 else (-1,)
        self._intercept = intercept
        self._finish = finish

    def __call__(self, matrix: Matrix) -> Matrix:
        """The answers to the rows of ``matrix``."""
        check(matrix, nan_is_fine=False)
        rows, columns = matrix.shape
        starts = np.arange(0, rows * columns + 1, columns, dtype=np.int32)
        places = np.tile(np.arange(columns, dtype=np.int32), rows)
        scores = np.zeros(rows * self._width)
        self._multiply(
            rows, columns, self._width, starts, places, matrix.ravel(), self._weights, scores
        )
        return self._finish(scores.reshape(self._shape) + self._intercept)


def sparse_linear_heads(estimator: Any, method: str) -> list[SparseLinearHead]:
    """The way to ask ``estimator`` behind a sparse matrix; none for unknown kinds."""
    finish = _finish(estimator, method)
    if finish is None:
        return []
    coef = estimator.coef_
    weights = coef.T if coef.ndim == 2 else coef
    return [SparseLinearHead(weights, estimator.intercept_, finish)]


def linear_heads(estimator: Any, method: str, orders: Sequence[Order]) -> list[LinearHead]:
    """Ways to ask ``estimator``, one for each order of memory; none for unknown kinds."""
    finish = _finish(estimator, method)
    if finish is None:
        return []
    coef = estimator.coef_
    weights = coef.T if coef.ndim == 2 else coef
    intercept = estimator.intercept_
    return [LinearHead(weights, intercept, finish, order) for order in orders]


def _finish(estimator: Any, method: str) -> Finish | None:
    kind = kind_of(estimator)
    if kind in _REGRESSORS:
        if method != "predict":
            return None
        return np.ravel if kind == "SGDRegressor" else lambda scores: scores
    if kind not in _CLASSIFIERS:
        return None
    if kind.startswith("RidgeClassifier") and estimator._label_binarizer.y_type_.startswith(  # noqa: SLF001
        "multilabel"
    ):
        return None
    if method == "predict":
        return _labels(estimator.classes_, binary=estimator.coef_.shape[0] == 1)
    if method not in ("predict_proba", "predict_log_proba"):
        return None
    probabilities = _probabilities(estimator, kind)
    if probabilities is None or method == "predict_proba":
        return probabilities
    return None if kind == "LinearDiscriminantAnalysis" else lambda s: np.log(probabilities(s))


def _labels(classes: Matrix, *, binary: bool) -> Finish:
    if binary:
        return lambda scores: classes.take((scores.reshape(-1) > 0).astype(int), axis=0)
    return lambda scores: classes.take(np.argmax(scores, axis=1), axis=0)


def _probabilities(estimator: Any, kind: str) -> Finish | None:
    binary = estimator.coef_.shape[0] == 1
    logistic = kind.startswith("LogisticRegression")
    if not (logistic or (kind == "SGDClassifier" and estimator.loss == "log_loss")):
        return None
    if binary:
        return _two_probabilities
    # Before one-vs-rest was taken out of LogisticRegression, it was a choice of multi_class.
    if not logistic:
        return _one_against_rest
    if getattr(estimator, "multi_class", "auto") in (
        "auto",
        "multinomial",
        "deprecated",
    ):
        return _softmax
    return None


def _two_probabilities(scores: Matrix) -> Matrix:
    from scipy.special import expit

    positive = expit(scores.reshape(-1))
    answer = np.empty((len(positive), 2), dtype=positive.dtype)
    np.subtract(1, positive, out=answer[:, 0])
    answer[:, 1] = positive
    return answer


def _one_against_rest(scores: Matrix) -> Matrix:
    from scipy.special import expit

    shares: Matrix = expit(scores)
    totals = shares.sum(axis=1)
    nothing = totals == 0
    if nothing.any():
        shares[nothing, :] = 1
        totals[nothing] = shares.shape[1]
    shares /= totals.reshape(len(shares), -1)
    return shares


def _softmax(scores: Matrix) -> Matrix:
    shares: Matrix = scores - np.max(scores, axis=1).reshape(-1, 1)
    np.exp(shares, out=shares)
    shares /= np.sum(shares, axis=1).reshape(-1, 1)
    return shares


def _as_numbers(matrix: Matrix) -> Matrix:
    return matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64)
