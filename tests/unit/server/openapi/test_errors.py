"""Every documented error of every protocol is made to happen, and is as documented."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from serinus_server.runtimes.base import Column, Signature, Tensor
from serinus_server.service.lifecycle import State

PATHS = ["/predict", "/invocations", "/v2/models/churn/infer", "/v2/models/churn/versions/3/infer"]
JSON = {"content-type": "application/json"}


class Model:
    """Ones; but -1 makes it raise, and -2 makes it wait for ``release``."""

    signature = Signature(
        (Column("x", "double"),),
        (Tensor(None, np.dtype(np.float64), (-1,)),),
        declared={"inputs": [{"type": "double", "name": "x"}]},
    )

    def __init__(self) -> None:
        self.release = threading.Event()

    def predict(self, table: Any) -> Any:
        values = table.columns["x"]
        if -1 in values:
            raise ValueError("as it was told")
        if -2 in values:
            assert self.release.wait(20)
        return np.ones(table.rows)


def body_of(path: str, x: Any) -> bytes:
    if path == "/predict":
        return json.dumps({"x": x}).encode()
    if path == "/invocations":
        return json.dumps({"dataframe_records": [{"x": x}]}).encode()
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [x]}
    return json.dumps({"inputs": [tensor]}).encode()


async def endless() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


def assert_documented(document: dict[str, Any], path: str, response: Any, kind: str) -> None:
    documented = document["paths"][path]["post"]["responses"][str(response.status_code)]
    media = documented["content"]["application/json"]
    assert response.headers["content-type"] == "application/json"
    schema = {**media["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(response.json())
    for header in ("x-serinus-revision", "x-serinus-version"):
        assert header in documented["headers"] and header in response.headers
    if "retry-after" in response.headers:
        assert "Retry-After" in documented["headers"]
    assert type_of(response.json()) == type_of(media["examples"][kind]["value"])


def type_of(error: dict[str, Any]) -> Any:
    """The word for what went wrong; V2 has none, only a message."""
    return error["detail"][0]["type"] if "detail" in error else error.get("error_code")


@pytest.mark.parametrize("path", PATHS)
async def test_every_documented_error_of_a_protocol_occurs(
    serve: Any, scripted: Any, empty_model: Path, path: str
) -> None:
    model = Model()
    runtime = scripted(model.predict, Model.signature)
    seen: dict[str, int] = {}

    async def ask(server: Any, kind: str, content: Any, **headers: str) -> None:
        document = (await server.client.get("/openapi.json")).json()
        response = await server.client.post(path, content=content, headers=JSON | headers)
        seen[kind] = response.status_code
        assert_documented(document, path, response, kind)

    async with serve(empty_model, lambda _: runtime, SERINUS_MAX_REQUEST_BYTES="300") as server:
        document = (await server.client.get("/openapi.json")).json()
        await ask(server, "MalformedRequest", b"[")
        await ask(server, "UnsupportedMedia", b"", **{"content-encoding": "gzip"})
        await ask(server, "RequestTooLarge", body_of(path, "x" * 300))
        await ask(server, "InvalidInput", body_of(path, "no number"))
        await ask(server, "PredictionFailed", body_of(path, -1))
        await server.application.drain()
        server.application.stop()
        await ask(server, "NotReady", body_of(path, 1))
    impatient = {"SERINUS_REQUEST_TIMEOUT": "0.2", "SERINUS_MAX_CONCURRENCY": "1"}
    async with serve(empty_model, lambda _: runtime, **impatient) as server:
        try:
            await ask(server, "BodyTimeout", endless())
            await ask(server, "PredictionTimeout", body_of(path, -2))
            await ask(server, "Overloaded", body_of(path, 1))  # the model is still at it
        finally:
            model.release.set()
    responses = document["paths"][path]["post"]["responses"]
    documented = {
        name: int(status)
        for status, response in responses.items()
        if status != "200"
        for name in response["content"]["application/json"]["examples"]
    }
    assert seen == documented


async def test_a_model_without_a_version_has_no_paths_of_versions(
    serve: Any, scripted: Any, empty_model: Path
) -> None:
    runtime = scripted(Model().predict, Model.signature)
    async with serve(empty_model, lambda _: runtime, SERINUS_MODEL_VERSION="") as server:
        paths = (await server.client.get("/openapi.json")).json()["paths"]
    assert PATHS[2] in paths
    assert not [path for path in paths if "/versions/" in path]


async def test_there_is_no_document_before_the_model_is_there(
    serve: Any, scripted: Any, empty_model: Path
) -> None:
    go_on = threading.Event()

    def load(_: Path) -> Any:
        assert go_on.wait(20)
        return scripted(Model().predict, Model.signature)

    async with serve(empty_model, load, until=State.LOADING) as server:
        response = await server.client.get("/openapi.json")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert "not ready" in response.json()["error"]
        assert (await server.client.get("/docs")).status_code == 200
        go_on.set()
        await server.until(State.READY)
        assert (await server.client.get("/openapi.json")).status_code == 200


async def test_a_model_that_cannot_be_described_is_served_all_the_same(
    serve: Any, scripted: Any, empty_model: Path
) -> None:
    signature = Signature(
        (Column("x", "double"),), declared={"inputs": [{"type": "double"}], "params": [{}]}
    )
    runtime = scripted(Model().predict, signature)
    async with serve(empty_model, lambda _: runtime) as server:
        assert (await server.client.post("/predict", json={"x": 1})).status_code == 200
        response = await server.client.get("/openapi.json")
    assert response.status_code == 500
    assert "log" in response.json()["error"]
