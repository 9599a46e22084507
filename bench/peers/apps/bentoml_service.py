"""A BentoML service with a scikit-learn model; async, which is its faster form here."""

import os
from typing import Any

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Service:
    """One endpoint, ``POST /predict``."""

    def __init__(self) -> None:
        self._model = joblib.load(os.environ["MODEL_FILE"])

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, rows: list[list[float]]) -> list[int]:
        answer: Any = self._model.predict(np.array(rows))
        labels: list[int] = answer.tolist()
        return labels
