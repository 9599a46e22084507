"""The yardstick: an MLflow model behind FastAPI, as tutorials write it.

No metrics, limits, timeouts, warm-up or checks beyond pydantic's: it does less than the model
server, and whoever installs Serinus could have had this instead.
"""

from __future__ import annotations

import os

import mlflow.pyfunc
import numpy as np
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = mlflow.pyfunc.load_model(os.environ["MODEL_FOLDER"])


class Records(BaseModel):
    rows: list[dict[str, float]]


class Matrix(BaseModel):
    rows: list[list[float]]


@app.post("/columns")
async def columns(request: Records) -> dict[str, list[list[float]]]:
    return {"predictions": model.predict(pd.DataFrame(request.rows)).tolist()}


@app.post("/tensor")
async def tensor(request: Matrix) -> dict[str, list[list[float]]]:
    return {"predictions": model.predict(np.array(request.rows)).tolist()}
