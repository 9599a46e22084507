"""KServe's Python server with a scikit-learn model: the V1 and V2 protocols over REST."""

from __future__ import annotations

import os
from typing import Any

import joblib
import kserve
from kserve.utils.utils import get_predict_input, get_predict_response


class SklearnModel(kserve.Model):  # type: ignore[misc]
    """Input and output go through KServe's own helpers."""

    def load(self) -> bool:
        self._model = joblib.load(os.environ["MODEL_FILE"])
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        answer = self._model.predict(get_predict_input(payload))
        return get_predict_response(payload, answer, self.name)


if __name__ == "__main__":
    model = SklearnModel("bench")
    model.load()
    kserve.ModelServer().start([model])
