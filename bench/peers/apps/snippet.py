"""The yardstick: a scikit-learn model behind FastAPI, as tutorials write it.

No metrics, limits, timeouts, warm-up or checks beyond pydantic's: it does less than the model
server, and whoever installs Serinus could have had this instead.
"""

from __future__ import annotations

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["MODEL_FILE"])


class Request(BaseModel):
    rows: list[list[float]]


@app.post("/predict")
async def predict(request: Request) -> dict[str, list[int]]:
    return {"predictions": model.predict(np.array(request.rows)).tolist()}
