"""What one request may cost, and what happens to the others meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from serinus_server import contract
from serinus_server.service.lifecycle import State

BODY = json.dumps([[1.0, 2.0]])
PATHS = ("/v2/models/churn/infer", "/invocations", "/predict")


class Gate:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def predict(self, rows: Any) -> Any:
        self.entered.release()
        assert self.open.wait(20)
        return rows


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_413_and_names_the_limit(
    serve: Any, empty_model: Path, scripted: Any, path: str, *, chunked: bool
) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 100

    async with serve(
        empty_model, lambda _: scripted(lambda rows: rows), SERINUS_MAX_REQUEST_BYTES="1000"
    ) as server:
        content = chunks() if chunked else b" " * 1001
        response = await server.client.post(path, content=content)
        assert response.status_code == 413
        assert "1000 bytes" in response.text
        assert response.headers["connection"] == "close"
        fits = await server.client.post(path, content=b" " * 1000)
        assert fits.status_code == 400


async def test_compressed_bodies_are_refused(serve: Any, empty_model: Path, scripted: Any) -> None:
    async with serve(empty_model, lambda _: scripted(lambda rows: rows)) as server:
        response = await server.client.post(
            "/predict", content=b"x", headers={"content-encoding": "gzip"}
        )
        assert response.status_code == 415


async def test_health_is_answered_while_every_worker_predicts(
    serve: Any, empty_model: Path, scripted: Any, gate: Gate
) -> None:
    async with serve(empty_model, lambda _: scripted(gate.predict)) as server:
        slow = [asyncio.create_task(server.client.post("/predict", content=BODY)) for _ in range(8)]
        await asyncio.to_thread(gate.entered.acquire)
        async with asyncio.timeout(2):
            assert (await server.client.get(contract.PATH_LIVE)).status_code == 200
            assert (await server.client.get(contract.PATH_READY)).status_code == 200
        assert await server.metric(contract.METRIC_IN_FLIGHT) == 8
        gate.open.set()
        assert {(await task).status_code for task in slow} == {200}
        assert await server.metric(contract.METRIC_IN_FLIGHT) == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_slow_prediction_is_504_and_keeps_its_slot_until_it_ends(
    serve: Any, empty_model: Path, scripted: Any, gate: Gate, path: str
) -> None:
    body = json.dumps(
        {
            "/predict": [[1]],
            "/invocations": {"inputs": [[1]]},
        }.get(path, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]})
    )
    async with serve(
        empty_model,
        lambda _: scripted(gate.predict),
        SERINUS_REQUEST_TIMEOUT="0.05",
        SERINUS_MAX_CONCURRENCY="1",
    ) as server:
        response = await server.client.post(path, content=body)
        assert response.status_code == 504
        assert "0.05 s" in response.text
        refused = await server.client.post(path, content=body)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        gate.open.set()
        async with asyncio.timeout(5):
            while await server.metric(contract.METRIC_IN_FLIGHT):  # noqa: ASYNC110 - its value is not ours to signal
                await asyncio.sleep(0.002)
        assert (await server.client.post(path, content=body)).status_code == 200


async def test_a_body_that_does_not_come_is_408(
    serve: Any, empty_model: Path, scripted: Any
) -> None:
    never = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"["
        await never.wait()

    async with serve(
        empty_model, lambda _: scripted(lambda rows: rows), SERINUS_REQUEST_TIMEOUT="0.05"
    ) as server:
        response = await server.client.post("/predict", content=chunks())
        assert response.status_code == 408
        assert await server.metric(contract.METRIC_IN_FLIGHT) == 0


@pytest.mark.parametrize("path", PATHS[1:])
async def test_a_model_that_raises_is_500_with_an_id_that_is_in_the_log_and_nothing_else(
    serve: Any, empty_model: Path, scripted: Any, path: str
) -> None:
    def fail(_: Any) -> Any:
        raise ValueError("secret /path/of/the/model")

    async with serve(empty_model, lambda _: scripted(fail)) as server:
        with structlog.testing.capture_logs() as logs:
            body = BODY if path == "/predict" else json.dumps({"inputs": [[1, 2]]})
            response = await server.client.post(path, content=body)
            again = await server.client.post(path, content=body)
        assert response.status_code == 500
        assert "secret" not in response.text
        assert "Traceback" not in response.text
        first, second = [entry for entry in logs if entry["event"] == "prediction failed"]
        assert first["error_id"] in response.text
        assert second["error_id"] in again.text
        assert first["error_id"] != second["error_id"]
        assert first["exc_info"] is not None
        assert second["exc_info"] is None  # a failing model fails often: its stack is told once
        assert "secret /path" in second["error"]


async def test_an_answer_without_a_json_form_is_500_with_an_id(
    serve: Any, empty_model: Path, scripted: Any
) -> None:
    async with serve(empty_model, lambda _: scripted(lambda _: object())) as server:
        with structlog.testing.capture_logs() as logs:
            response = await server.client.post("/predict", content=BODY)
        assert response.status_code == 500
        (entry,) = [entry for entry in logs if entry["event"] == "request failed"]
        assert entry["error_id"] in response.text


async def test_before_the_model_is_ready_predictions_are_503_and_liveness_is_200(
    serve: Any, empty_model: Path, scripted: Any, gate: Gate
) -> None:
    def load(_: Path) -> Any:
        gate.predict(None)
        return scripted(lambda rows: rows)

    async with serve(empty_model, load, until=State.LOADING) as server:
        assert (await server.client.get(contract.PATH_LIVE)).status_code == 200
        for path in (contract.PATH_READY, "/ping", "/health", "/v2/models/churn"):
            assert (await server.client.get(path)).status_code == 503
        for path in PATHS:
            response = await server.client.post(path, content=BODY)
            assert response.status_code == 503
            assert "loading" in response.text
        gate.open.set()
        await server.until(State.READY)
        assert (await server.client.get(contract.PATH_READY)).status_code == 200


async def test_a_draining_server_serves_on_but_asks_clients_to_leave(
    serve: Any, empty_model: Path, scripted: Any
) -> None:
    async with serve(
        empty_model, lambda _: scripted(lambda rows: rows), SERINUS_DRAIN_SECONDS="30"
    ) as server:
        draining = asyncio.create_task(server.application.drain())
        await server.until(State.DRAINING)
        assert (await server.client.get(contract.PATH_READY)).status_code == 503
        response = await server.client.post("/predict", content=BODY)
        assert response.status_code == 200
        assert response.headers["connection"] == "close"
        draining.cancel()


async def test_a_model_that_cannot_be_loaded_in_time_fails(
    serve: Any, empty_model: Path, gate: Gate
) -> None:
    async with serve(
        empty_model, gate.predict, until=State.FAILED, SERINUS_LOAD_TIMEOUT="0.05"
    ) as server:
        assert "0.05 s" in str(server.application.failure)
        gate.open.set()
