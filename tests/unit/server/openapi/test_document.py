"""The document says what the server does: it is valid, and its examples and errors are real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from serinus_server import contract

from .models import CASES, V2, Case

ID_LATER = "0f3a9c1be2d4"  # every failed prediction has another one
CSV = {"content-type": "text/csv"}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
async def server(serve: Any, scripted: Any, empty_model: Path, case: Case) -> AsyncIterator[Any]:
    if case.example is not None:
        (empty_model / "serving_input_example.json").write_text(json.dumps(case.example))
        with (empty_model / "MLmodel").open("a") as file:
            file.write(
                "saved_input_example_info: {serving_input_path: serving_input_example.json}\n"
            )
    runtime = scripted(case.predict, case.signature)
    async with serve(empty_model, lambda _: runtime) as running:
        yield running


async def document_of(server: Any) -> dict[str, Any]:
    response = await server.client.get("/openapi.json")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` with the document's components beside it, for a validator of JSON Schema."""
    return {**schema, "components": document["components"]}


def operations(document: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def bodies(operation: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Content type and value of every example of a request."""
    found: list[tuple[str, Any]] = []
    for content_type, media in operation.get("requestBody", {}).get("content", {}).items():
        found += [(content_type, one["value"]) for one in media.get("examples", {}).values()]
        if "example" in media:
            found.append((content_type, media["example"]))
    return found


async def test_the_document_is_valid_openapi(server: Any) -> None:
    OpenAPIV31SpecValidator(await document_of(server)).validate()


async def test_every_example_fits_its_schema_and_is_answered_as_documented(
    server: Any, case: Case
) -> None:
    document = await document_of(server)
    for path, _, operation in operations(document):
        for content_type, body in bodies(operation):
            schema = operation["requestBody"]["content"][content_type]["schema"]
            jsonschema.Draft202012Validator(resolved(document, schema)).validate(body)
            sent = body.encode() if content_type == "text/csv" else json.dumps(body).encode()
            response = await server.client.post(
                path, content=sent, headers={"content-type": content_type}
            )
            assert response.status_code == 200, (path, body, response.text)
            answer = operation["responses"]["200"]
            media = answer["content"]["application/json"]
            jsonschema.Draft202012Validator(resolved(document, media["schema"])).validate(
                response.json()
            )
            for name in (contract.HEADER_REVISION, contract.HEADER_VERSION):
                assert name in answer["headers"] and name in response.headers


async def test_a_logged_example_is_shown_in_every_form_that_can_carry_it(
    server: Any, case: Case
) -> None:
    document = await document_of(server)
    paths = {"/predict", "/invocations", V2} - case.missing
    assert {path for path in ("/predict", "/invocations", V2) if path in document["paths"]} == paths
    for path in paths:
        examples = [kind for kind, _ in bodies(document["paths"][path]["post"])]
        if path in case.silent:
            assert examples == []
        else:
            assert "application/json" in examples, path
            answer = document["paths"][path]["post"]["responses"]["200"]["content"]
            assert "example" in answer["application/json"]
    types = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert ("text/csv" in types) is case.csv


async def test_every_get_answers_as_documented(server: Any) -> None:
    document = await document_of(server)
    asked = 0
    for path, method, operation in operations(document):
        if method != "get":
            continue
        asked += 1
        response = await server.client.get(path)
        assert response.status_code == 200, path
        content = operation["responses"]["200"].get("content")
        if content is None:
            assert response.text.strip() == ""
            continue
        ((content_type, media),) = content.items()
        assert response.headers["content-type"].startswith(content_type)
        if content_type == "application/json":
            jsonschema.Draft202012Validator(resolved(document, media["schema"])).validate(
                response.json()
            )
    assert asked == 11


@pytest.mark.parametrize("case", [CASES["mixed columns"]], ids=["mixed columns"], indirect=False)
async def test_the_fields_are_the_models_own(server: Any) -> None:
    document = await document_of(server)
    record = document["components"]["schemas"]["Record"]
    fields = record["properties"]
    assert list(fields) == [
        "age", "children", "income", "weight", "city", "member", "joined", "photo",
    ]  # fmt: skip
    assert set(fields) - set(record["required"]) == {"children"}
    assert fields["age"]["type"] == "integer" and fields["age"]["format"] == "int64"
    assert fields["children"]["maximum"] == 2**31 - 1
    assert fields["income"]["type"] == ["number", "null"]
    assert fields["joined"]["format"] == "date-time-local"
    assert fields["photo"]["contentEncoding"] == "base64"
    assert document["info"]["title"] == "churn" and document["info"]["version"] == "3"
    assert document["servers"] == [{"url": "."}]


@pytest.mark.parametrize(
    "case", [CASES["columns and params"]], ids=["columns and params"], indirect=False
)
async def test_params_have_their_types_and_defaults(server: Any) -> None:
    document = await document_of(server)
    params = document["components"]["schemas"]["Params"]
    assert params["properties"]["limit"]["default"] == 7
    assert params["properties"]["weights"]["type"] == "array"
    assert params["properties"]["mode"] == {"type": ["string", "null"], "default": "fast"}
    parameters = document["components"]["schemas"]["V2Request"]["properties"]["parameters"]
    assert {"limit", "weights", "mode", "binary_data_output"} == set(parameters["properties"])


@pytest.mark.parametrize("case", [CASES["one tensor"]], ids=["one tensor"], indirect=False)
async def test_an_answer_in_binary_is_documented(server: Any, case: Case) -> None:
    document = await document_of(server)
    operation = document["paths"][V2]["post"]
    (example,) = [body for _, body in bodies(operation)]
    schema = document["components"]["schemas"]["V2Request"]["properties"]
    assert schema["outputs"]["items"]["properties"]["name"] == {"enum": ["output-0"]}
    wanted = example | {"parameters": {"binary_data_output": True}}
    response = await server.client.post(V2, json=wanted)
    answer = operation["responses"]["200"]
    assert response.headers["content-type"] in answer["content"]
    assert response.headers["content-type"] == "application/octet-stream"
    assert "Inference-Header-Content-Length" in answer["headers"]
    assert int(response.headers["inference-header-content-length"]) < len(response.content)
