"""Boosted trees, ONNX graphs, statistics, and Python code of a model's own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from .entry import CLASS, NUMBER, PAIR, Entry, X, features, mixed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import lightgbm
    import mlflow
    import onnx
    import statsmodels.api as statistics
    import xgboost
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression

_QUESTIONS = features(7, seed=9)
_FLOATS = np.ascontiguousarray(_QUESTIONS, np.float32)
_FEW = {"n_estimators": 10, "max_depth": 4}


def _boosters() -> dict[str, Entry]:
    return {
        "xgboost": Entry(
            "xgboost", lambda: xgboost.XGBRegressor(**_FEW).fit(X, NUMBER), _QUESTIONS
        ),
        "xgboost classes": Entry(
            "xgboost", lambda: xgboost.XGBClassifier(**_FEW).fit(X, CLASS), _QUESTIONS
        ),
        "xgboost booster": Entry(
            "xgboost",
            lambda: xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, NUMBER), 10),
            _QUESTIONS,
        ),
        "xgboost two outputs": Entry(
            "xgboost", lambda: xgboost.XGBRegressor(**_FEW).fit(X, PAIR), _QUESTIONS
        ),
        "lightgbm": Entry(
            "lightgbm",
            lambda: lightgbm.LGBMRegressor(**_FEW, verbose=-1).fit(X, NUMBER),
            _QUESTIONS,
        ),
        "lightgbm classes": Entry(
            "lightgbm",
            lambda: lightgbm.LGBMClassifier(**_FEW, verbose=-1).fit(X, CLASS),
            _QUESTIONS,
        ),
        "lightgbm booster": Entry(
            "lightgbm",
            lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, NUMBER), 10),
            _QUESTIONS,
        ),
    }


def _concatenation() -> Any:
    """A graph of two inputs, `left` (n, 2) and `right` (n, 3), and two outputs."""
    names = {"left": 2, "right": 3}
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Concat", list(names), ["joined"], axis=1),
            onnx.helper.make_node("ReduceSum", ["joined"], ["sum"]),
        ],
        "joins",
        [onnx.helper.make_tensor_value_info(n, floats, ["n", w]) for n, w in names.items()],
        [
            onnx.helper.make_tensor_value_info("joined", floats, ["n", 5]),
            onnx.helper.make_tensor_value_info("sum", floats, [1, 1]),
        ],
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _graphs() -> dict[str, Entry]:
    floats = X.to_numpy(np.float32)
    return {
        "onnx regression": Entry(
            "onnx",
            lambda: to_onnx(LinearRegression().fit(floats, NUMBER), floats[:1]),
            _FLOATS,
        ),
        "onnx classes": Entry(
            "onnx",
            lambda: to_onnx(
                RandomForestClassifier(5, random_state=0).fit(floats, CLASS),
                floats[:1],
                options={"zipmap": False},
            ),
            _FLOATS,
        ),
        "onnx two inputs": Entry(
            "onnx", _concatenation, {"left": _FLOATS[:, :2].copy(), "right": _FLOATS[:, 2:].copy()}
        ),
    }


def _statistics() -> dict[str, Entry]:
    matrix = X.to_numpy()
    return {
        "least squares": Entry("statsmodels", lambda: statistics.OLS(NUMBER, X).fit(), _QUESTIONS),
        "weighted least squares": Entry(
            "statsmodels",
            lambda: statistics.WLS(NUMBER, X, weights=np.arange(1, len(X) + 1)).fit(),
            _QUESTIONS,
        ),
        "generalised linear": Entry(
            "statsmodels",
            lambda: statistics.GLM(
                (CLASS > 0).to_numpy(), matrix, family=statistics.families.Binomial()
            ).fit(),
            np.ascontiguousarray(_QUESTIONS),  # as JSON is read: BLAS adds in the order of memory
        ),
    }


def _by_value(cls: type) -> Any:
    cls.__module__ = "__main__"  # pickled by value: the server has no module of the tests
    return cls()


def _python_models() -> dict[str, Entry]:
    """Python code of a model's own, with and without type hints."""

    def table_in_table_out() -> Any:
        class Doubler(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
                city = model_input["city"].str.upper()
                return pd.DataFrame({"city": city, "twice": model_input["income"] * 2})

        return _by_value(Doubler)

    def with_params() -> Any:
        class Power(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
                return model_input.to_numpy() ** params["exponent"]

        return _by_value(Power)

    def words() -> Any:
        class Greeter(mlflow.pyfunc.PythonModel):
            def predict(self, model_input: list[str]) -> list[str]:
                return [f"hei {word}" for word in model_input]

        return _by_value(Greeter)

    def records() -> Any:
        class Sums(mlflow.pyfunc.PythonModel):
            def predict(self, model_input: list[dict[str, float]]) -> list[float]:
                return [sum(record.values()) for record in model_input]

        return _by_value(Sums)

    params = ParamSchema([ParamSpec("exponent", "double", 3.0)])
    signature = mlflow.models.infer_signature(_QUESTIONS)
    return {
        "table in, table out": Entry("pyfunc", table_in_table_out, mixed(7, seed=9)),
        "params": Entry(
            "pyfunc",
            with_params,
            _QUESTIONS,
            {"signature": ModelSignature(signature.inputs, params=params)},
            signed=False,
        ),
        "hinted words": Entry("pyfunc", words, ["Bjørn", "Åse", ""], signed=False),
        "hinted records": Entry(
            "pyfunc", records, [{"a": 0.1, "b": 1e300}, {"a": -0.0}], signed=False
        ),
    }


ENTRIES = {**_boosters(), **_graphs(), **_statistics(), **_python_models()}
