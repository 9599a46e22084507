"""The same with models that MLflow saved and loads: its own checks agree with the document."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jsonschema
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from openapi_spec_validator import OpenAPIV31SpecValidator

from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime

RECORD = {
    "age": 41, "children": 2, "income": 51000.25, "weight": 71.5, "city": "Oslo",
    "member": True, "joined": "2026-03-04T05:06:07", "photo": "aGk=",
}  # fmt: skip
PARAMS = [
    ParamSpec("limit", "long", 7),
    ParamSpec("weights", "double", [0.5], shape=(-1,)),
    ParamSpec("mode", "string", "fast"),
]
LEFT_OUT = object()


@pytest.fixture(scope="module")
def lenient_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers whatever MLflow lets pass: what is refused, the signature refuses."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no type hints, which is the point

        class Ones(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
                return [1.0] * len(model_input)

    Ones.__module__ = "__main__"  # pickled by value
    types = ["long", "integer", "double", "float", "string", "boolean", "datetime", "binary"]
    columns = [
        ColSpec(type_, name, required=name != "children")
        for name, type_ in zip(RECORD, types, strict=True)
    ]
    folder = tmp_path_factory.mktemp("models") / "lenient"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=Ones(),
            signature=ModelSignature(
                Schema(columns), Schema([ColSpec("double")]), ParamSchema(PARAMS)
            ),
            pip_requirements=["pandas"],
        )
    return folder


@pytest.fixture
async def lenient(
    serve: Any, lenient_model: Path, load: Callable[[Path], Any]
) -> AsyncIterator[Any]:
    runtime = PyFuncRuntime(load(lenient_model))
    environ = {"SERINUS_ALLOW_CUSTOM_CODE": "true", "SERINUS_WARMUP_REQUESTS": "0"}
    async with serve(lenient_model, lambda _: runtime, **environ) as server:
        yield server.client


def validator_of(document: dict[str, Any], path: str) -> jsonschema.Draft202012Validator:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("age", [None, 1.5, 2**63, -(2**63), -(2**63) - 1, True, "1", 3.0, LEFT_OUT, [1]]),
        ("children", [2**31 - 1, 2**31, None, 0, LEFT_OUT]),
        ("income", [None, "1", 1, True, 1e308, 2**60, LEFT_OUT]),
        ("weight", [None, 1e39, 3.4028234663852886e38, 1]),
        ("city", [None, 1, "", LEFT_OUT]),
        ("member", [None, 1, "true", False]),
        ("joined", [None, 5, "2026-03-04T05:06:07.123456", "2026-03-04T05:06:07"]),
        ("photo", [None, "", "%", "aGk", "aGk=", 1]),
    ],
)
async def test_the_schema_takes_a_value_just_where_the_server_does(
    lenient: Any, field: str, values: list[Any]
) -> None:
    document = (await lenient.get("/openapi.json")).json()
    for value in values:
        record = RECORD | {field: value}
        if value is LEFT_OUT:
            del record[field]
        fits = validator_of(document, "/predict").is_valid(record)
        response = await lenient.post("/predict", json=record)
        assert response.status_code == (200 if fits else 422), (value, response.text)


@pytest.mark.parametrize(
    ("params", "fits"),
    [
        ({}, True),
        ({"limit": 3}, True),
        ({"weights": [1.5, 2]}, True),
        ({"mode": "slow", "limit": 1}, True),
        ({"mode": None, "limit": None}, True),
        ({"limit": 2**63}, True),
        (None, True),
        ({"limit": "three"}, False),
        ({"weights": 1.5}, False),
        ({"other": 1}, False),
    ],
)
async def test_params_fit_just_where_the_server_takes_them(
    lenient: Any, params: dict[str, Any] | None, fits: bool
) -> None:
    document = (await lenient.get("/openapi.json")).json()
    body = {"dataframe_records": [RECORD], "params": params}
    assert validator_of(document, "/invocations").is_valid(body) is fits
    response = await lenient.post("/invocations", json=body)
    assert response.status_code == (200 if fits else 422), response.text


async def test_defaults_are_those_that_mlflow_saved(lenient: Any) -> None:
    document = (await lenient.get("/openapi.json")).json()
    properties = document["components"]["schemas"]["Params"]["properties"]
    assert {name: one["default"] for name, one in properties.items()} == {
        "limit": 7, "weights": [0.5], "mode": "fast",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["table_model", "tensor_model", "hinted_model"])
async def test_real_models_are_described_with_examples_that_they_answer(
    name: str, request: pytest.FixtureRequest, serve: Any, load: Callable[[Path], Any]
) -> None:
    folder: Path = request.getfixturevalue(name)
    environ = {"SERINUS_ALLOW_CUSTOM_CODE": "true"}
    async with serve(folder, lambda _: PyFuncRuntime(load(folder)), **environ) as server:
        document = (await server.client.get("/openapi.json")).json()
        OpenAPIV31SpecValidator(document).validate()
        asked = 0
        for path, methods in document["paths"].items():
            if "post" not in methods:
                continue
            for kind, media in methods["post"]["requestBody"]["content"].items():
                bodies = [one["value"] for one in media.get("examples", {}).values()]
                bodies += [media["example"]] if "example" in media else []
                for body in bodies:
                    sent = body if isinstance(body, str) else json.dumps(body)
                    headers = {"content-type": kind}
                    response = await server.client.post(path, content=sent, headers=headers)
                    assert response.status_code == 200, (path, body, response.text)
                    answer = methods["post"]["responses"]["200"]["content"]["application/json"]
                    schema = {**answer["schema"], "components": document["components"]}
                    jsonschema.Draft202012Validator(schema).validate(response.json())
                    asked += 1
    assert asked == {"table_model": 9, "tensor_model": 8, "hinted_model": 0}[name]


async def test_outputs_with_names_are_described_as_records(
    serve: Any, scripted: Any, empty_model: Path
) -> None:
    from serinus_server.runtimes.base import Column, Signature

    signature = Signature(
        (Column("x", "double"),),
        (Column("label", "string"), Column("score", "double")),
        declared={
            "inputs": [{"type": "double", "name": "x"}],
            "outputs": [
                {"type": "string", "name": "label"},
                {"type": "double", "name": "score"},
            ],
        },
    )
    frame = pd.DataFrame({"label": ["a"], "score": [np.nan]})
    async with serve(empty_model, lambda _: scripted(lambda _: frame, signature)) as server:
        document = (await server.client.get("/openapi.json")).json()
        answer = (await server.client.post("/predict", json={"x": 1})).json()
    schema = document["components"]["schemas"]["Predictions"]
    assert schema["anyOf"][0]["items"]["required"] == ["label", "score"]
    jsonschema.Draft202012Validator(schema).validate(answer["predictions"])
