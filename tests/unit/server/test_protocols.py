"""Three protocols, real models: the answers are MLflow's, and bad input is the client's error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pandas as pd
import pytest

from serinus_server import contract
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime

RECORD: dict[str, Any] = {
    "age": 41,
    "children": 2,
    "income": 51000.25,
    "weight": 71.5,
    "city": "Oslo",
    "member": True,
    "joined": "2026-03-04T05:06:07",
}


def frame(*records: dict[str, Any]) -> pd.DataFrame:
    types = {"age": "int64", "children": "int32", "income": "float64", "weight": "float32"}
    built = pd.DataFrame(list(records))
    return built.astype(types).assign(joined=pd.to_datetime(built["joined"]))


@pytest.fixture
async def table(
    serve: Any, table_model: Path, load: Callable[[Path], Any]
) -> AsyncIterator[httpx2.AsyncClient]:
    async with serve(table_model, lambda _: PyFuncRuntime(load(table_model))) as server:
        yield server.client


@pytest.fixture
async def tensor(
    serve: Any, tensor_model: Path, load: Callable[[Path], Any]
) -> AsyncIterator[httpx2.AsyncClient]:
    async with serve(tensor_model, lambda _: PyFuncRuntime(load(tensor_model))) as server:
        yield server.client


@pytest.fixture
def expected(table_model: Path, load: Callable[[Path], Any]) -> list[float]:
    """MLflow's own answer to two records."""
    answer: list[float] = load(table_model).predict(frame(RECORD, {**RECORD, "age": 42})).tolist()
    return answer


ROWS = [RECORD, {**RECORD, "age": 42}]


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_records": ROWS},
        {"dataframe_split": {"columns": list(RECORD), "data": [list(r.values()) for r in ROWS]}},
        {
            "dataframe_split": {
                "columns": [*reversed(RECORD), "more"],
                "index": [5, 6],
                "data": [[*reversed(r.values()), None] for r in ROWS],
            }
        },
        {"instances": ROWS},
        {"inputs": ROWS},
        {"inputs": {name: [row[name] for row in ROWS] for name in RECORD}},
    ],
    ids=["records", "split", "split reordered", "instances", "inputs as rows", "inputs"],
)
async def test_invocations_takes_every_form_of_a_table(
    table: httpx2.AsyncClient, expected: list[float], document: dict[str, Any]
) -> None:
    response = await table.post("/invocations", json=document)
    assert (response.status_code, response.json()) == (200, {"predictions": expected})


async def test_invocations_takes_csv(table: httpx2.AsyncClient, expected: list[float]) -> None:
    response = await table.post(
        "/invocations",
        content=frame(*ROWS).to_csv(index=False),
        headers={"content-type": "text/csv; charset=UTF-8"},
    )
    assert (response.status_code, response.json()) == (200, {"predictions": expected})


async def test_predict_takes_one_record_or_many(
    table: httpx2.AsyncClient, expected: list[float]
) -> None:
    one = await table.post("/predict", json=ROWS[0])
    many = await table.post("/predict", json=ROWS)
    who = {"model": "churn", "version": "3", "revision": "abc"}
    assert one.json() == {"predictions": expected[:1], **who}
    assert many.json() == {"predictions": expected, **who}


V2_TYPES = {
    "age": "INT64", "children": "INT32", "income": "FP64", "weight": "FP32", "city": "BYTES",
    "member": "BOOL", "joined": "BYTES",
}  # fmt: skip


def v2_columns() -> dict[str, Any]:
    return {
        "id": "42",
        "inputs": [
            {"name": n, "shape": [2, 1], "datatype": t, "data": [row[n] for row in ROWS]}
            for n, t in V2_TYPES.items()
        ],
    }


@pytest.mark.parametrize("path", ["/v2/models/churn/infer", "/v2/models/churn/versions/3/infer"])
async def test_v2_takes_one_tensor_for_each_column(
    table: httpx2.AsyncClient, expected: list[float], path: str
) -> None:
    response = await table.post(path, json=v2_columns())
    assert response.json() == {
        "model_name": "churn",
        "model_version": "3",
        "id": "42",
        "outputs": [{"name": "output-0", "datatype": "FP64", "shape": [2], "data": expected}],
    }


@pytest.mark.parametrize("data", [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [[1, 2, 3], [4, 5, 6]]])
async def test_v2_takes_one_matrix_flat_or_nested(
    tensor: httpx2.AsyncClient, tensor_model: Path, load: Callable[[Path], Any], data: list[Any]
) -> None:
    body = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP64", "data": data}]}
    response = await tensor.post("/v2/models/churn/infer", json=body)
    answer = load(tensor_model).predict(np.array([[1.0, 2, 3], [4, 5, 6]]))
    assert response.json()["outputs"] == [
        {
            "name": "output-0",
            "datatype": "FP64",
            "shape": [2, 2],
            "data": answer.ravel().tolist(),
        }
    ]


async def test_v2_describes_server_and_model(table: httpx2.AsyncClient) -> None:
    assert (await table.get("/v2")).json()["name"] == "serinus"
    for path in ("/v2/models/churn", "/v2/models/churn/versions/3"):
        described = (await table.get(path)).json()
        assert described["versions"] == ["3"]
        assert {t["name"]: t["datatype"] for t in described["inputs"]} == {
            **V2_TYPES,
            "note": "BYTES",
        }
    for path in ("/v2/models/churn/ready", "/v2/models/churn/versions/3/ready", "/ping", "/health"):
        assert (await table.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/v2/models/other", "/v2/models/churn/versions/4", "/v2/models/other/ready"],
)
async def test_v2_answers_404_for_other_models_and_versions(
    table: httpx2.AsyncClient, path: str
) -> None:
    response = await table.get(path)
    assert response.status_code == 404
    assert "churn" in response.json()["error"]
    if not path.endswith("ready"):
        assert (await table.post(f"{path}/infer", json=v2_columns())).status_code == 404


async def test_v2_gives_only_the_outputs_that_are_asked_for(table: httpx2.AsyncClient) -> None:
    body = {**v2_columns(), "outputs": [{"name": "output-0"}]}
    assert (await table.post("/v2/models/churn/infer", json=body)).status_code == 200
    body["outputs"] = [{"name": "probability"}]
    response = await table.post("/v2/models/churn/infer", json=body)
    assert response.status_code == 422
    assert "probability" in response.json()["error"]


PREDICTION_PATHS = ("/v2/models/churn/infer", "/invocations", "/predict")


@pytest.mark.parametrize("path", PREDICTION_PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"NaN",
        b'{"inputs": [NaN]}',
        b'[{"age": Infinity}]',
        b'[{"age": 1e400}]',
        b"[" * 5000 + b"]" * 5000,
        b'{"inputs": ' + b"[" * 40 + b"]" * 40 + b"}",
        b"7",
        b"null",
        b'"text"',
        b"[1, 2]",
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_no_request_is_400_in_the_protocols_form(
    table: httpx2.AsyncClient, path: str, body: bytes
) -> None:
    response = await table.post(path, content=body)
    assert response.status_code == 400, response.text
    document = response.json()
    match path:
        case "/predict":
            assert document["detail"][0]["loc"] == ["body"]
        case "/invocations":
            assert document["error_code"] == "BAD_REQUEST"
        case _:
            assert set(document) == {"error"}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/invocations", {}),
        ("/invocations", {"instances": [], "inputs": []}),
        ("/invocations", {"instances": [RECORD], "more": 1}),
        ("/invocations", {"dataframe_records": RECORD}),
        ("/invocations", {"dataframe_split": [1]}),
        ("/invocations", {"dataframe_split": {"data": [[1]], "columns": "x"}}),
        ("/invocations", {"instances": [RECORD], "params": [1]}),
        ("/predict", [RECORD, [1]]),
        ("/v2/models/churn/infer", {"inputs": []}),
        ("/v2/models/churn/infer", {"inputs": [{"name": "age"}]}),
        (
            "/v2/models/churn/infer",
            {"inputs": [{"name": "age", "shape": [1], "datatype": "FP128", "data": [1]}]},
        ),
        (
            "/v2/models/churn/infer",
            {"inputs": [{"name": "age", "shape": [-1], "datatype": "FP64", "data": [1]}]},
        ),
        (
            "/v2/models/churn/infer",
            {"inputs": [{"name": "age", "shape": ["1"], "datatype": "FP64", "data": [1]}]},
        ),
    ],
)
async def test_json_that_is_not_the_protocols_form_is_400(
    table: httpx2.AsyncClient, path: str, document: Any
) -> None:
    response = await table.post(path, json=document)
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("path", PREDICTION_PATHS)
async def test_more_values_than_the_limit_are_413(
    serve: Any, empty_model: Path, scripted: Any, path: str
) -> None:
    async with serve(
        empty_model, lambda _: scripted(lambda rows: rows), SERINUS_MAX_ELEMENTS="1000"
    ) as server:
        response = await server.client.post(path, json=[[1] * 1001])
        assert response.status_code == 413
        assert "1000 values" in response.text
        assert (await server.client.post(path, json=[1] * 900)).status_code == 400


async def test_input_that_does_not_fit_is_422_and_names_field_row_and_wish(
    table: httpx2.AsyncClient,
) -> None:
    rows = [RECORD, {**RECORD, "age": "old"}]
    response = await table.post("/predict", json=rows)
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {
            "loc": ["body", 1, "age"],
            "msg": "is a string, but the signature wants long",
            "type": "invalid_input",
        }
    ]
    response = await table.post("/invocations", json={"dataframe_records": rows})
    assert response.status_code == 422
    assert response.json() == {
        "error_code": "INVALID_PARAMETER_VALUE",
        "message": "input 'age', row 1: is a string, but the signature wants long",
    }


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"datatype": "FP64", "data": [1.5, 2.5]}, "float64"),
        ({"data": ["a", "b"]}, "a string"),
        ({"data": [1]}, "shape [2, 1] means 2"),
        ({"shape": [1000000, 1000000]}, "1000000000000"),
        ({"shape": [2, 1, 1]}, "wants a column"),
        ({"datatype": "INT8", "data": [1, 200]}, "INT8"),
        ({"data": [[1], 2]}, "ragged"),
        ({"name": "years"}, "missing"),
    ],
)
async def test_a_v2_tensor_that_does_not_fit_is_422_and_named(
    table: httpx2.AsyncClient, change: dict[str, Any], names: str
) -> None:
    body = v2_columns()
    body["inputs"][0] |= change
    response = await table.post("/v2/models/churn/infer", json=body)
    assert response.status_code == 422, response.text
    assert "'age'" in response.json()["error"]
    assert names in response.json()["error"]


@pytest.mark.parametrize("document", [[], {"instances": []}, {"dataframe_records": []}])
async def test_no_rows_is_422(table: httpx2.AsyncClient, document: Any) -> None:
    path = "/predict" if isinstance(document, list) else "/invocations"
    assert (await table.post(path, json=document)).status_code == 422


async def test_params_must_be_the_models_own(tensor: httpx2.AsyncClient) -> None:
    rows = {"inputs": [[1.0, 2.0, 3.0]]}
    for params, status in [
        ({"limit": 3}, 200),
        ({}, 200),
        ({"limit": "many"}, 422),
        ({"other": 1}, 422),
    ]:
        response = await tensor.post("/invocations", json={**rows, "params": params})
        assert response.status_code == status, response.text


async def test_every_answer_to_a_prediction_says_who_answered(table: httpx2.AsyncClient) -> None:
    for path in PREDICTION_PATHS:
        for body in (b"{}", json.dumps(RECORD).encode(), b"{"):
            response = await table.post(path, content=body)
            assert response.headers[contract.HEADER_REVISION] == "abc"
            assert response.headers[contract.HEADER_VERSION] == "3"


async def test_other_content_types_are_415(table: httpx2.AsyncClient) -> None:
    for content_type in ("text/plain", "application/json; charset=latin-1", "multipart/form-data"):
        response = await table.post(
            "/invocations", content=b"{}", headers={"content-type": content_type}
        )
        assert response.status_code == 415


async def test_mlflows_version_is_told(table: httpx2.AsyncClient) -> None:
    import mlflow

    assert (await table.get("/version")).text == mlflow.__version__


async def test_a_python_model_with_type_hints_gets_json_values_and_may_refuse_them(
    serve: Any, hinted_model: Path
) -> None:
    async with serve(hinted_model, SERINUS_ALLOW_CUSTOM_CODE="true") as server:
        for path, document in [
            ("/invocations", {"inputs": [{"x": 1.0, "y": 2.5}]}),
            ("/predict", {"x": 1.0, "y": 2.5}),
        ]:
            response = await server.client.post(path, json=document)
            assert (response.status_code, response.json()["predictions"]) == (200, [3.5])
        response = await server.client.post("/predict", json={"x": "a"})
        assert response.status_code == 422
        assert "type hint" in response.text


@pytest.mark.parametrize(
    ("values", "outputs"),
    [
        (
            pd.DataFrame({"p": [0.5, 1.0], "label": ["no", "yes"]}),
            [
                {"name": "p", "datatype": "FP64", "shape": [2], "data": [0.5, 1.0]},
                {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["no", "yes"]},
            ],
        ),
        (
            pd.Series([True, False], name="churns"),
            [{"name": "churns", "datatype": "BOOL", "shape": [2], "data": [True, False]}],
        ),
        (
            {"a": np.float32([[1], [2]]), "b": [1, 2]},
            [
                {"name": "a", "datatype": "FP32", "shape": [2, 1], "data": [1.0, 2.0]},
                {"name": "b", "datatype": "INT64", "shape": [2], "data": [1, 2]},
            ],
        ),
        (
            np.array([np.nan, 1.0]),
            [{"name": "output-0", "datatype": "FP64", "shape": [2], "data": [None, 1.0]}],
        ),
    ],
    ids=["frame", "series", "dict", "array with nan"],
)
async def test_v2_writes_every_kind_of_answer_with_its_datatype(
    serve: Any, scripted: Any, empty_model: Path, values: Any, outputs: list[dict[str, Any]]
) -> None:
    body = {"inputs": [{"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]}]}
    async with serve(empty_model, lambda _: scripted(lambda _: values)) as server:
        response = await server.client.post("/v2/models/churn/infer", json=body)
    assert response.json()["outputs"] == outputs


async def test_unknown_paths_are_404_and_never_redirect(table: httpx2.AsyncClient) -> None:
    for path in ("/", "/predict/", "/docs/", "/v2/"):
        assert (await table.get(path)).status_code == 404
    assert (await table.get("/predict")).status_code == 405
