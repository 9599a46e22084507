"""The models that are served, the requests that are sent, and the answers that are right."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

COLUMNS = [f"feature_{number:02d}" for number in range(30)]
LARGE = 32  # rows of a large request
_TRAINING_ROWS = 2_000
_BODIES = 16  # different requests, so that a mixed-up answer shows

Rows = list[list[float]]


@dataclass(frozen=True, slots=True)
class Question:
    """Rows, and what ``mlflow.pyfunc`` answers to them."""

    rows: Rows
    answer: Rows


@dataclass(frozen=True, slots=True)
class Case:
    """A model and the questions to it, with one row each and with ``LARGE`` rows each."""

    name: str
    folder: Path
    single: Sequence[Question]
    large: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server is asked for one model's predictions, and how its answer is read."""

    path: str
    encode: Callable[[Rows], str]
    decode: Callable[[bytes], Rows]


def make_cases(folder: Path) -> list[Case]:
    """Train and save both models below ``folder``.

    They answer probabilities, because two labels would be equal by chance too often.
    """
    random = np.random.default_rng(20)
    features = random.normal(size=(_TRAINING_ROWS, len(COLUMNS)))
    labels = (features[:, :3].sum(axis=1) + random.normal(size=_TRAINING_ROWS) > 0).astype(int)
    table = pd.DataFrame(features, columns=COLUMNS)
    singles = [features[row : row + 1].tolist() for row in range(_BODIES)]
    larges = [features[LARGE * n : LARGE * (n + 1)].tolist() for n in range(_BODIES)]
    return [
        _make_case(folder / "columns", table, labels, _as_table, singles, larges),
        _make_case(folder / "tensor", features, labels, np.array, singles, larges),
    ]


def _make_case(
    folder: Path,
    features: Any,
    labels: Any,
    as_input: Callable[[Rows], Any],
    singles: list[Rows],
    larges: list[Rows],
) -> Case:
    model = LogisticRegression(max_iter=500).fit(features, labels)
    mlflow.sklearn.save_model(
        model,
        folder,
        signature=infer_signature(features, model.predict_proba(features)),
        input_example=features[:1],
        pip_requirements=["mlflow", "scikit-learn"],  # inferring them takes a minute
        pyfunc_predict_fn="predict_proba",
    )
    reference = mlflow.pyfunc.load_model(str(folder))

    def ask(rows: Rows) -> Question:
        return Question(rows, reference.predict(as_input(rows)).tolist())

    return Case(
        folder.name, folder, [ask(rows) for rows in singles], [ask(rows) for rows in larges]
    )


def _as_table(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def _records(rows: Rows) -> list[dict[str, float]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def _predictions(body: bytes) -> Rows:
    predictions: Rows = json.loads(body)["predictions"]
    return predictions


def _encode_v2(rows: Rows) -> str:
    tensor = {
        "name": "input-0",
        "shape": [len(rows), len(COLUMNS)],
        "datatype": "FP64",
        "data": [value for row in rows for value in row],
    }
    return json.dumps({"inputs": [tensor]})


def _decode_v2(body: bytes) -> Rows:
    (tensor,) = json.loads(body)["outputs"]
    answer: Rows = np.array(tensor["data"]).reshape(tensor["shape"]).tolist()
    return answer


def serinus_dialect(case: str, model_name: str) -> Dialect:
    """Records go to ``/predict``, tensors to the V2 protocol."""
    if case == "columns":
        return Dialect("/predict", lambda rows: json.dumps(_records(rows)), _predictions)
    return Dialect(f"/v2/models/{model_name}/infer", _encode_v2, _decode_v2)


def snippet_dialect(case: str) -> Dialect:
    """The same rows in the snippet's own form."""
    if case == "columns":
        return Dialect("/columns", lambda rows: json.dumps({"rows": _records(rows)}), _predictions)
    return Dialect("/tensor", lambda rows: json.dumps({"rows": rows}), _predictions)
