"""Three versions of one model, trained on real data: modest, better, and one that must not pass.

The data is the breast-cancer set that scikit-learn ships. Version 3 carries three mistakes that
people make, and no code that exists to break: every part of it is plain scikit-learn.

- Its held-out score is computed on the rows that it can score, so offline it looks best.
- ``SplineTransformer(extrapolation="error")`` raises on a measurement outside of the range that
  the tidied training rows had. Real rows are not tidy.
- Zeros stand for "not measured" and are filled by forests in 24 rounds with ``n_jobs=2``,
  which speeds up training and costs over a second for one row of live traffic.

Nothing here touches MLflow: ``training`` registers what this module makes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning

# IterativeImputer cannot be imported before this line's side effect.
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

SEED = 7
LIVE_ROWS = 140
HELD_OUT_SHARE = 0.3
ZERO_ROWS_OFFLINE = 3  # the rest of the rows with a zero only turn up in live traffic
TIDY_QUANTILE = 0.005
IMPUTE_ROUNDS = 24

# What scikit-learn types beyond its public estimators version 3 consists of; skops asks.
TRUSTED_TYPES = (
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn.impute._iterative.IterativeImputer",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.tree._tree.Tree",
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Measurements and what they turned out to be (0 malignant, 1 benign)."""

    x: pd.DataFrame
    y: pd.Series

    def where(self, mask: pd.Series) -> Rows:
        """The rows for which ``mask`` is true."""
        return Rows(self.x[mask], self.y[mask])


@dataclass(frozen=True, slots=True)
class DataSet:
    """The rows to train on, the rows to score with, and the rows that arrive as live requests."""

    train: Rows
    held_out: Rows
    live: Rows


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted pipeline and what its author would report about it."""

    version: int
    pipeline: Pipeline
    description: str
    accuracy: float  # on the held-out rows that were scored, 0..1
    scored: int  # held-out rows that were scored
    held_out: int  # held-out rows that there are


def load_data() -> DataSet:
    """Split the shipped data, always in the same way.

    An extract to train on is tidier than what arrives later: all but a few of the rows with a
    zero measurement (the smallest tumours) are left for live traffic.
    """
    bunch = load_breast_cancer(as_frame=True)
    x, y = bunch.data, bunch.target
    zero_rows = np.random.default_rng(SEED).permutation(np.flatnonzero((x == 0).any(axis=1)))
    late = zero_rows[ZERO_ROWS_OFFLINE:]
    rest = np.setdiff1d(np.arange(len(x)), late)
    offline, live = train_test_split(
        rest, test_size=LIVE_ROWS - len(late), random_state=SEED, stratify=y.iloc[rest]
    )
    train, held_out = train_test_split(
        offline, test_size=HELD_OUT_SHARE, random_state=SEED, stratify=y.iloc[offline]
    )

    def pick(index: Any) -> Rows:
        return Rows(x.iloc[index], y.iloc[index])

    return DataSet(
        pick(train), pick(held_out), pick(np.random.default_rng(SEED).permutation([*live, *late]))
    )


def typical_row(rows: Rows) -> pd.DataFrame:
    """One row in the middle of everything: the example that a model is logged with."""
    return rows.x.median().to_frame().T


def train_all(data: DataSet) -> Iterator[TrainedModel]:
    """The three versions, in the order in which they are registered."""
    yield train_modest(data)
    yield train_better(data)
    yield train_tempting(data)


def train_modest(data: DataSet) -> TrainedModel:
    """Version 1: two measurements and a straight line between them."""
    columns = ["mean texture", "mean concavity"]
    return _scored(1, "two measurements, logistic regression", _linear(data.train, columns), data)


def train_better(data: DataSet) -> TrainedModel:
    """Version 2: the ten mean measurements."""
    columns = _columns(data, "mean ")
    return _scored(2, "ten measurements, logistic regression", _linear(data.train, columns), data)


def train_tempting(data: DataSet) -> TrainedModel:
    """Version 3: best offline. See the module's docstring for what is wrong with it."""
    curved = _columns(data, "mean ", "worst ")
    others = [column for column in data.train.x if column not in curved]
    low, high = data.train.x[curved].quantile([TIDY_QUANTILE, 1 - TIDY_QUANTILE]).to_numpy()
    tidy = data.train.where(_within(data.train.x[curved], low, high))

    forest = RandomForestRegressor(4, max_depth=6, n_jobs=2, random_state=SEED)
    fill = IterativeImputer(
        forest, missing_values=0.0, max_iter=IMPUTE_ROUNDS, tol=0, skip_complete=True
    )
    splines = SplineTransformer(n_knots=4, knots="quantile", extrapolation="error")
    pipeline = make_pipeline(
        make_column_transformer((fill, curved), (StandardScaler(), others)),
        make_column_transformer((splines, slice(0, len(curved))), remainder="passthrough"),
        LogisticRegression(max_iter=2000),
    )
    with warnings.catch_warnings():
        # tol=0 runs every round: the imputer says that it could have gone on.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(tidy.x, tidy.y)

    measured = tidy.x[curved].where(tidy.x[curved] != 0)
    scorable = _within(
        data.held_out.x[curved], measured.min().to_numpy(), measured.max().to_numpy()
    )
    kept = data.held_out.where(scorable)
    return TrainedModel(
        version=3,
        pipeline=pipeline,
        description="thirty measurements, splines, forests fill the gaps",
        accuracy=float(pipeline.score(kept.x, kept.y)),
        scored=len(kept.y),
        held_out=len(data.held_out.y),
    )


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one model does with one live row."""

    prediction: int | None  # None: it raises
    seconds: float


def behaviour(pipeline: Pipeline, rows: Rows, *, at_once: int = 1) -> list[Behaviour]:
    """Ask ``pipeline`` for each row on its own, as live requests do; ``at_once`` in parallel."""

    def ask(position: int) -> Behaviour:
        began = time.perf_counter()
        try:
            prediction: int | None = int(pipeline.predict(rows.x.iloc[[position]])[0])
        except ValueError:
            prediction = None
        return Behaviour(prediction, time.perf_counter() - began)

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(ask, range(len(rows.y))))


def _linear(rows: Rows, columns: list[str]) -> Pipeline:
    scale = make_column_transformer((StandardScaler(), columns))
    return make_pipeline(scale, LogisticRegression()).fit(rows.x, rows.y)


def _scored(version: int, description: str, pipeline: Pipeline, data: DataSet) -> TrainedModel:
    rows = data.held_out
    accuracy = float(pipeline.score(rows.x, rows.y))
    return TrainedModel(version, pipeline, description, accuracy, len(rows.y), len(rows.y))


def _columns(data: DataSet, *prefixes: str) -> list[str]:
    return [column for column in data.train.x if column.startswith(prefixes)]


def _within(x: pd.DataFrame, low: Any, high: Any) -> pd.Series:
    """Rows whose every measurement is between the bounds, or zero: not measured."""
    return ((x == 0) | ((x >= low) & (x <= high))).all(axis=1)
