"""Real models, trained once per test process, and servers that run them in-process."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pandas as pd
import pytest

from serinus_server import contract
from serinus_server.app import Application
from serinus_server.runtimes.base import Runtime, Signature
from serinus_server.service.lifecycle import State
from serinus_server.settings import read_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

CITIES = ["Bergen", "Oslo", "Tromsø"]
TABLE_SCHEMA = Schema(
    [
        ColSpec("long", "age"),
        ColSpec("integer", "children"),
        ColSpec("double", "income"),
        ColSpec("float", "weight"),
        ColSpec("string", "city"),
        ColSpec("boolean", "member"),
        ColSpec("datetime", "joined"),
        ColSpec("string", "note", required=False),
    ]
)


def table(rows: int) -> pd.DataFrame:
    """Training data of the table model."""
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "children": rng.integers(0, 5, rows).astype(np.int32),
            "income": rng.normal(50_000, 9_000, rows),
            "weight": rng.normal(70, 9, rows).astype(np.float32),
            "city": rng.choice(CITIES, rows),
            "member": rng.random(rows) < 0.5,
            "joined": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), "D"),
        }
    )


@pytest.fixture(scope="session")
def table_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline over a table with every common column type; saved by pickling."""
    frame = table(200)
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("numbers", "passthrough", ["age", "children", "income", "weight", "member"]),
                ("cities", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ]
        ),
        LinearRegression(),
    ).fit(frame, frame["income"] / 3 + frame["age"])
    folder = tmp_path_factory.mktemp("models") / "table"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = frame.head(2).assign(joined=["2026-01-01T00:00:00", "2026-01-02T00:00:00"])
        mlflow.sklearn.save_model(
            pipeline,
            folder,
            serialization_format="cloudpickle",
            signature=ModelSignature(TABLE_SCHEMA, Schema([TensorSpec(np.dtype("f8"), (-1,))])),
            input_example=example,
            pip_requirements=["scikit-learn"],
        )
    return folder


@pytest.fixture(scope="session")
def tensor_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression over an unnamed matrix with two outputs; saved in the skops format."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(50, 3))
    targets = features @ rng.normal(size=(3, 2))
    folder = tmp_path_factory.mktemp("models") / "tensor"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            LinearRegression().fit(features, targets),
            folder,
            serialization_format="skops",
            signature=ModelSignature(
                Schema([TensorSpec(np.dtype("f8"), (-1, 3))]),
                Schema([TensorSpec(np.dtype("f8"), (-1, 2))]),
                ParamSchema([ParamSpec("limit", "long", 7)]),
            ),
            input_example=features[:1],
            pip_requirements=["scikit-learn"],
        )
    return folder


@pytest.fixture(scope="session")
def hinted_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python model of its own code, whose input is described by type hints."""

    class Adder(mlflow.pyfunc.PythonModel):
        def predict(self, model_input: list[dict[str, float]]) -> list[float]:
            return [sum(row.values()) for row in model_input]

    Adder.__module__ = "__main__"  # pickled by value
    folder = tmp_path_factory.mktemp("models") / "hinted"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(folder, python_model=Adder(), pip_requirements=["pandas"])
    return folder


@pytest.fixture(scope="session")
def load() -> Callable[[Path], Any]:
    """The reference: MLflow's own loading, once per model."""
    loaded: dict[Path, Any] = {}

    def load_once(folder: Path) -> Any:
        if folder not in loaded:
            loaded[folder] = mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)
        return loaded[folder]

    return load_once


@dataclass(frozen=True, slots=True)
class Server:
    """A server in this process and a client that speaks to it."""

    application: Application
    client: httpx2.AsyncClient

    async def until(self, state: State) -> None:
        """Wait until the server is in ``state``."""
        async with asyncio.timeout(20):
            while self.application.lifecycle.state is not state:  # noqa: ASYNC110 - its value is not ours to signal
                await asyncio.sleep(0.002)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of ``name`` that have ``labels``."""
        from prometheus_client.parser import text_string_to_metric_families

        text = (await self.client.get(contract.PATH_METRICS)).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def serve() -> Serve:
    """Run a server: ``async with serve(folder, SERINUS_...="...") as server``."""

    @asynccontextmanager
    async def run(
        folder: Path,
        load_runtime: Callable[[Path], Runtime] | None = None,
        until: State = State.READY,
        **environ: str,
    ) -> AsyncIterator[Server]:
        settings = read_settings(
            {
                contract.ENV_MODEL_NAME: "churn",
                contract.ENV_MODEL_URI: folder.as_uri(),
                contract.ENV_MODEL_VERSION: "3",
                contract.ENV_REVISION: "abc",
                contract.ENV_WARMUP_REQUESTS: "1",
                contract.ENV_DRAIN_SECONDS: "0",
                **environ,
            }
        )
        application = Application(settings, *([load_runtime] if load_runtime else []))
        transport = httpx2.ASGITransport(app=application.asgi)
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            server = Server(application, client)
            application.start()
            try:
                await server.until(until)
                yield server
            finally:
                await application.drain()
                application.stop()

    return run


class ScriptedRuntime:
    """A model whose answer the test writes; stands where the MLflow model would."""

    flavor = "scripted"
    name = "scripted"
    row_wise = False
    quick_rows = 0
    predict_parts = None

    def __init__(self, predict: Callable[[Any], Any], signature: Signature | None = None) -> None:
        self._predict = predict
        self.signature = signature or Signature()

    def predict(self, model_input: Any, params: Mapping[str, Any] | None) -> Any:
        return self._predict(model_input)


@pytest.fixture
def scripted() -> type[ScriptedRuntime]:
    return ScriptedRuntime


@pytest.fixture
def empty_model(tmp_path: Path) -> Path:
    """A folder that is admitted, but holds no model; for scripted runtimes."""
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "MLmodel").write_text(
        "flavors: {python_function: {loader_module: mlflow.sklearn}, scripted: {}}\n"
    )
    return folder


Post = Callable[..., Awaitable[httpx2.Response]]
