"""Makes the models, the questions to them and the right answers.

Each model is saved twice: by MLflow and by joblib, for peers that know nothing of MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.questions import LARGE, Model, Question

FEATURES = 30
TREES = 100
_TRAINING_ROWS = 2_000
_BODIES = 16  # different requests, so that a mixed-up answer shows
_MIXED_COLUMNS = {"amount": 12, "count": 8, "flag": 4, "kind": 6}
_KINDS = np.array(["red", "green", "blue", "grey", "other"])
# MLflow keeps models without pickle by default, and has to be told of types that it does not know.
_TRUSTED_TYPES = ["sklearn.tree._tree.Tree", "_loss.CyHalfBinomialLoss"]


def make_model(name: str, folder: Path) -> Model:
    """Train the model ``name`` and save it below ``folder``; the same each time."""
    return _MAKERS[name](folder / name)


def _logistic(folder: Path) -> Model:
    return _numeric(folder, LogisticRegression(max_iter=500))


def _boosting(folder: Path) -> Model:
    return _numeric(folder, GradientBoostingClassifier(n_estimators=TREES, random_state=0))


def _forest(folder: Path) -> Model:
    return _numeric(folder, RandomForestClassifier(n_estimators=TREES, random_state=0))


def _numeric(folder: Path, estimator: Any) -> Model:
    """Answers labels, as ``predict`` does: what people serve."""
    random = np.random.default_rng(20)
    features = random.normal(size=(_TRAINING_ROWS, FEATURES))
    labels = _labels(features[:, :3].sum(axis=1), random)
    estimator.fit(features, labels)
    return _save(folder, estimator, features, [], np.array)


def _mixed(folder: Path) -> Model:
    """Numbers, whole numbers, flags and words in 30 named columns; answers probabilities."""
    random = np.random.default_rng(21)
    table = _mixed_table(random)
    words = [name for name in table.columns if name.startswith("kind")]
    numbers = [name for name in table.columns if name not in words]
    labels = _labels(table[numbers[:3]].sum(axis=1).to_numpy(), random)
    encode = ColumnTransformer(
        [
            ("numbers", StandardScaler(), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        ]
    )
    pipeline = make_pipeline(encode, LogisticRegression(max_iter=500)).fit(table, labels)
    columns = list(table.columns)

    def as_table(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
        return pd.DataFrame(rows, columns=columns).astype(table.dtypes)

    return _save(folder, pipeline, table, columns, as_table, function="predict_proba")


def _mixed_table(random: np.random.Generator) -> pd.DataFrame:
    draw: dict[str, Callable[[], Any]] = {
        "amount": lambda: random.normal(size=_TRAINING_ROWS),
        "count": lambda: random.integers(0, 100, size=_TRAINING_ROWS),
        "flag": lambda: random.random(size=_TRAINING_ROWS) > 0.5,
        "kind": lambda: random.choice(_KINDS, size=_TRAINING_ROWS),
    }
    return pd.DataFrame(
        {
            f"{kind}_{number:02d}": draw[kind]()
            for kind, count in _MIXED_COLUMNS.items()
            for number in range(count)
        }
    )


def _labels(signal: Any, random: np.random.Generator) -> Any:
    noise = random.normal(size=len(signal))
    return (signal + noise * signal.std() > signal.mean()).astype(int)


def _save(
    folder: Path,
    estimator: Any,
    features: Any,
    columns: Sequence[str],
    as_input: Callable[[Sequence[Sequence[Any]]], Any],
    function: str = "predict",
) -> Model:
    answers = getattr(estimator, function)(features)
    mlflow.sklearn.save_model(
        estimator,
        folder,
        signature=infer_signature(features, answers),
        input_example=features[:1],
        pip_requirements=["mlflow", "scikit-learn"],  # inferring them takes a minute
        pyfunc_predict_fn=function,
        skops_trusted_types=_TRUSTED_TYPES,
    )
    reference = mlflow.pyfunc.load_model(str(folder))

    def ask(begin: int, size: int) -> Question:
        rows = features[begin : begin + size]
        plain = rows.to_numpy(dtype=object).tolist() if columns else rows.tolist()
        return Question(plain, reference.predict(as_input(plain)).tolist())

    model = Model(
        folder.name,
        folder,
        columns,
        [ask(number, 1) for number in range(_BODIES)],
        [ask(LARGE * number, LARGE) for number in range(_BODIES)],
    )
    joblib.dump(estimator, model.joblib_file)
    return model


_MAKERS = {"lr": _logistic, "gbc": _boosting, "rf": _forest, "mixed": _mixed}
