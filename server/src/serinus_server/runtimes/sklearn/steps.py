"""Transformers of numbers: the arithmetic that scikit-learn does after its validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from serinus_server.runtimes.fast import Doubt
from serinus_server.runtimes.sklearn.kinds import kind_of, plain_output
from serinus_server.runtimes.sklearn.matrix import Matrix, as_floats, check

Step: TypeAlias = Callable[[Matrix], Matrix]


def step_for(transformer: Any) -> Step | None:
    """What ``transformer`` does to a matrix of numbers; None if it is of an unknown kind.

    Steps return a new matrix, and raise Doubt where the transformer may refuse a value.
    """
    make = _STEPS.get(kind_of(transformer))
    if make is None or not plain_output(transformer):
        return None
    return make(transformer)


def chain(transformers: list[Any]) -> list[Step] | None:
    """The steps of all ``transformers``, without those that do nothing; None if one is unknown."""
    steps = []
    for transformer in transformers:
        if transformer is None or transformer == "passthrough":
            continue
        step = step_for(transformer)
        if step is None:
            return None
        steps.append(step)
    return steps


def _floats(matrix: Matrix) -> Matrix:
    """A copy in the dtype that scalers compute in; they let missing values pass."""
    floats = as_floats(matrix)
    check(floats, nan_is_fine=True)
    return floats.copy(order="K") if floats is matrix else floats


def _standard(scaler: Any) -> Step:
    mean, scale = scaler.mean_, scaler.scale_
    with_mean, with_std = scaler.with_mean, scaler.with_std

    def standardize(matrix: Matrix) -> Matrix:
        scaled = _floats(matrix)
        if with_mean:
            scaled -= mean.astype(scaled.dtype, copy=False)
        if with_std:
            scaled /= scale.astype(scaled.dtype, copy=False)
        return scaled

    return standardize


def _min_max(scaler: Any) -> Step:
    scale, lowest, clip = scaler.scale_, scaler.min_, scaler.clip
    low, high = scaler.feature_range

    def scale_range(matrix: Matrix) -> Matrix:
        scaled = _floats(matrix)
        scaled *= scale
        scaled += lowest
        if clip:
            np.clip(scaled, scaled.dtype.type(low), scaled.dtype.type(high), out=scaled)
        return scaled

    return scale_range


def _max_abs(scaler: Any) -> Step | None:
    if getattr(scaler, "clip", False):
        return None
    scale = scaler.scale_

    def scale_down(matrix: Matrix) -> Matrix:
        scaled = _floats(matrix)
        scaled /= scale
        return scaled

    return scale_down


def _robust(scaler: Any) -> Step:
    center, scale = scaler.center_, scaler.scale_
    with_centering, with_scaling = scaler.with_centering, scaler.with_scaling

    def scale_robustly(matrix: Matrix) -> Matrix:
        scaled = _floats(matrix)
        if with_centering:
            scaled -= center
        if with_scaling:
            scaled /= scale
        return scaled

    return scale_robustly


def _simple_imputer(imputer: Any) -> Step | None:
    """Means, medians and constants for NaN; other missing values have no fast way."""
    fill = np.asarray(imputer.statistics_)
    missing = imputer.missing_values
    numbers = fill.dtype.kind == "f" and not np.isnan(fill).any()
    of_floats = getattr(imputer, "_fit_dtype", None) == np.float64
    if not numbers or not of_floats or imputer.add_indicator or missing == missing:
        return None

    def impute(matrix: Matrix) -> Matrix:
        if matrix.dtype != np.float64:  # what it does to others depends on its strategy
            raise Doubt
        check(matrix, nan_is_fine=True)
        holes = np.isnan(matrix)
        return np.where(holes, fill, matrix) if holes.any() else matrix

    return impute


_STEPS: dict[str, Callable[[Any], Step | None]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "RobustScaler": _robust,
    "SimpleImputer": _simple_imputer,
}
