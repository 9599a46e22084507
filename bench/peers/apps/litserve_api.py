"""A LitServe API with a scikit-learn model: one worker, one process for the HTTP server."""

import os
from typing import Any

import joblib
import litserve
import numpy as np


class SklearnApi(litserve.LitAPI):  # type: ignore[misc]
    """One endpoint, ``POST /predict``."""

    def setup(self, device: str) -> None:
        self._model = joblib.load(os.environ["MODEL_FILE"])

    def decode_request(self, request: dict[str, Any], **_: Any) -> Any:
        return np.array(request["rows"])

    def predict(self, x: Any, **_: Any) -> Any:
        return self._model.predict(x)

    def encode_response(self, output: Any, **_: Any) -> dict[str, Any]:
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(SklearnApi(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
