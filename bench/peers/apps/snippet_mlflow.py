"""The yardstick again, with MLflow's loader in place of joblib: what serves every MLflow model."""

from __future__ import annotations

import os

import mlflow.pyfunc
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = mlflow.pyfunc.load_model(os.environ["MODEL_FOLDER"])


class Request(BaseModel):
    rows: list[list[float]]


@app.post("/predict")
async def predict(request: Request) -> dict[str, list[int]]:
    return {"predictions": model.predict(np.array(request.rows)).tolist()}
