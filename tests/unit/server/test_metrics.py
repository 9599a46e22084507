"""The metrics contract: names, labels, what counts and what does not."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serinus_server import contract
from serinus_server.runtimes.base import Signature, Tensor
from serinus_server.telemetry.scrapes import Scrapes

OWN = {"model": "churn", "revision": "abc"}
PROCESS = (
    "virtual_memory_bytes", "resident_memory_bytes", "start_time_seconds", "cpu_seconds_total",
    "open_fds", "max_fds",
)  # fmt: skip


def answer(rows: Any) -> Any:
    if rows[0][0] < 0:
        raise ValueError("negative")
    return rows


SIGNATURE = Signature((Tensor(None, np.dtype("f8"), (-1, 1)),))


@pytest.fixture
def runtime(scripted: Any) -> Any:
    return lambda _: scripted(answer, SIGNATURE)


def body(path: str, value: object) -> bytes:
    rows = [[value]]
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": rows}
    document: object = {"/predict": rows, "/invocations": {"inputs": rows}}.get(
        path, {"inputs": [tensor]}
    )
    return json.dumps(document).encode()


PATHS = {"v2": "/v2/models/churn/infer", "mlflow": "/invocations", "predict": "/predict"}


async def test_every_series_of_live_traffic_is_there_from_the_start(
    serve: Any, empty_model: Path, runtime: Any
) -> None:
    async with serve(empty_model, runtime) as server:
        text = (await server.client.get(contract.PATH_METRICS)).text
    samples = {
        (sample.labels["protocol"], sample.labels["code"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == contract.METRIC_REQUESTS
        and sample.labels["traffic"] == contract.TRAFFIC_LIVE
    }
    assert samples == {(p, c): 0.0 for p in contract.PROTOCOLS for c in contract.CODES}


async def test_names_and_labels_are_the_contract_and_nothing_more(
    serve: Any, empty_model: Path, runtime: Any
) -> None:
    request = {*OWN, "protocol", "traffic"}
    expected = {
        "serinus_requests_total": {*request, "code"},
        **{f"serinus_request_duration_seconds_{part}": request for part in ("count", "sum")},
        "serinus_request_duration_seconds_bucket": {*request, "le"},
        "serinus_rows_total": {*OWN},
        **{f"serinus_batch_size_{part}": {*OWN} for part in ("count", "sum")},
        "serinus_batch_size_bucket": {*OWN, "le"},
        "serinus_in_flight": {*OWN},
        "serinus_model_info": {*OWN, "uri", "version", "digest", "flavor"},
        "serinus_model_load_seconds": {*OWN},
        **{f"process_{name}": set() for name in PROCESS},
    }
    async with serve(empty_model, runtime) as server:
        await server.client.post("/predict", content=body("/predict", 1))
        text = (await server.client.get(contract.PATH_METRICS)).text
    seen: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.startswith("process_"):
                assert OWN.items() <= sample.labels.items()
            assert seen.setdefault(sample.name, set(sample.labels)) == set(sample.labels)
    assert seen == expected


@pytest.mark.parametrize("protocol", contract.PROTOCOLS)
async def test_each_request_counts_once_under_its_protocol_and_class(
    serve: Any, empty_model: Path, runtime: Any, protocol: str
) -> None:
    path = PATHS[protocol]
    async with serve(empty_model, runtime) as server:
        for content in (
            body(path, 1),
            body(path, 2),
            body(path, "a"),  # 422
            b"{",  # 400
            b" " * 2_000_000,  # 413
            body(path, -1),  # the model raises
        ):
            await server.client.post(path, content=content)
        for ignored in (
            contract.PATH_LIVE,
            contract.PATH_READY,
            contract.PATH_METRICS,
            "/v2",
            "/x",
        ):
            await server.client.get(ignored)
        await server.client.get(path)  # 405: no prediction request
        live = {**OWN, "traffic": "live"}
        counts = {
            code: await server.metric(contract.METRIC_REQUESTS, **live, code=code)
            for code in contract.CODES
        }
        own = {**live, "protocol": protocol}
        assert counts == {"2xx": 2, "4xx": 3, "5xx": 1}
        assert await server.metric(contract.METRIC_REQUESTS, **own) == 6
        assert await server.metric(f"{contract.METRIC_DURATION}_count", **own) == 6
        assert await server.metric(f"{contract.METRIC_DURATION}_count", **live) == 6
        assert await server.metric(contract.METRIC_ROWS) == 2
        assert await server.metric(f"{contract.METRIC_BATCH_SIZE}_count") == 2


async def test_the_operators_bounds_are_buckets(
    serve: Any, empty_model: Path, runtime: Any
) -> None:
    async with serve(empty_model, runtime, SERINUS_LATENCY_BOUNDS="0.3,0.25,7") as server:
        text = (await server.client.get(contract.PATH_METRICS)).text
    bounds = [
        float(sample.labels["le"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{contract.METRIC_DURATION}_bucket" and sample.labels["protocol"] == "v2"
    ]
    assert bounds == sorted({*contract.DEFAULT_BUCKETS, 0.3, 7.0, float("inf")})


async def test_warm_up_counts_as_warm_up_only_and_the_model_is_described(
    serve: Any, table_model: Path
) -> None:
    async with serve(table_model, SERINUS_WARMUP_REQUESTS="3") as server:
        requests = contract.METRIC_REQUESTS
        assert await server.metric(requests, traffic="warmup", code="2xx") == 3
        assert await server.metric(requests, traffic="live") == 0
        assert await server.metric(contract.METRIC_ROWS) == 0
        assert (
            await server.metric(
                contract.METRIC_MODEL_INFO,
                uri=table_model.as_uri(),
                version="3",
                flavor="sklearn",
                **OWN,
            )
            == 1
        )
        assert await server.metric(contract.METRIC_LOAD_SECONDS) > 0


async def test_requests_of_every_kind_add_no_series(
    serve: Any, empty_model: Path, runtime: Any
) -> None:
    def series(text: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        return {
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async with serve(empty_model, runtime) as server:
        before = series((await server.client.get(contract.PATH_METRICS)).text)
        for number in range(1000):
            path = (*PATHS.values(), f"/v2/models/m{number}/infer", f"/predict/{number}")[
                number % 5
            ]
            await server.client.request(
                ("POST", "GET", "PUT")[number % 3],
                f"{path}?n={number}",
                content=body(path, number % 7 - 3 if number % 2 else f"v{number}"),
                headers={"x-request-id": f"id-{number}", "content-type": f"text/x{number % 50}"},
            )
        after = series((await server.client.get(contract.PATH_METRICS)).text)
    assert after == before
    assert len(after) < 150


async def test_any_number_of_scrapes_at_once_render_once_and_leave_the_event_loop_free() -> None:
    rendered = 0
    begun, finish = threading.Event(), threading.Event()

    def render() -> bytes:
        nonlocal rendered
        rendered += 1
        begun.set()
        assert finish.wait(10)
        return b"text %d" % rendered

    scrapes = Scrapes(render)
    waiting = [asyncio.create_task(scrapes.text()) for _ in range(50)]
    assert await asyncio.to_thread(begun.wait, 10)  # which the loop could not do, were it rendering
    waiting.pop().cancel()
    finish.set()
    assert set(await asyncio.gather(*waiting)) == {b"text 1"}
    assert await scrapes.text() == b"text 2"
