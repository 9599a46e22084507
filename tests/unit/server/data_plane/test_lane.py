"""Predictions that come by the fast lane: HTTP as clients really speak it, well or badly."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from serinus_server import contract

from .raw import V2, body, post, read, responses, slots_are_free


async def test_every_client_gets_the_answer_to_its_own_rows(listen: Any, row_wise: Any) -> None:
    model = row_wise()
    async with listen(model) as server:

        async def client(number: int) -> None:
            reader, writer = await server.connect()
            for turn in range(10):
                value = number * 1000.0 + turn
                rows = [[value, float(n)] for n in range(1 + number % 3)]
                writer.write(post("/predict", json.dumps(rows).encode()))
                response = await read(reader)
                assert response.status == 200
                assert response.predictions == [[2 * a, 2 * b] for a, b in rows]
            writer.close()

        await asyncio.gather(*(client(number) for number in range(100)))
        assert len(model.asked) < 1000  # they were asked together
        assert await server.metric(contract.METRIC_ROWS) == sum(
            10 * (1 + n % 3) for n in range(100)
        )
        assert await server.metric(f"{contract.METRIC_BATCH_SIZE}_count") == len(model.asked)
        assert await server.metric(contract.METRIC_REQUESTS, code="2xx", traffic="live") == 1000
        await slots_are_free(server)


@pytest.mark.parametrize(
    "path", [V2, "/v2/models/churn/versions/3/infer", "/invocations", "/predict"]
)
async def test_the_lane_and_asgi_answer_alike_but_for_the_date(
    listen: Any, row_wise: Any, path: str
) -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}
    good: Any = {"/predict": [[1, 2]], "/invocations": {"inputs": [[1, 2]]}}.get(
        path, {"inputs": [tensor]}
    )
    async with listen(row_wise()) as server:
        for content in (json.dumps(good).encode(), b"{", b"[" * 99, b"NaN", b"\xff", b"{}", b"[]"):
            reader, writer = await server.connect()
            heads = []
            for target in (path, f"{path}?by=asgi"):
                writer.write(post(target, content))
                response = await read(reader)
                response.headers.pop("date", None)
                content_without_id = re.sub(rb"under \w+", b"under ID", response.content)
                heads.append((response.status, content_without_id, response.headers))
            assert heads[0] == heads[1]
            assert heads[0][2][contract.HEADER_REVISION] == "abc"
            assert heads[0][2][contract.HEADER_VERSION] == "3"
            writer.close()


async def test_what_is_not_a_prediction_on_a_known_path_is_left_to_routing(
    listen: Any, row_wise: Any
) -> None:
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        for request, status in [
            (b"GET /predict HTTP/1.1\r\nhost: x\r\n\r\n", 405),
            (post("/Predict", body(1)), 404),
            (post("/v2/models/other/infer", b"{}"), 404),
            (post("/pre%64ict", body(1)), 200),
            (post("http://x/predict", body(1)), 200),
            (b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n", 200),
            (post("/predict", body(1)), 200),
        ]:
            writer.write(request)
            assert (await read(reader)).status == status, request
        writer.close()


async def test_pipelined_requests_are_answered_in_order_whatever_their_way(
    listen: Any, row_wise: Any
) -> None:
    async with listen(row_wise()) as server:
        requests = [
            post("/predict" if n % 4 else "/predict?asgi", body(float(n)) if n % 3 else b"{")
            for n in range(40)
        ]
        requests.append(post("/predict", body(7.0), "connection: close"))
        for size in (10**9, 33):  # in one piece, and in pieces across the requests
            stream = b"".join(requests)
            reader, writer = await server.connect()
            for start in range(0, len(stream), size):
                writer.write(stream[start : start + size])
                await writer.drain()
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                received = responses(await reader.read())
            writer.close()
            assert [r.predictions[0][0] if r.status == 200 else None for r in received] == [
                2.0 * n if n % 3 else None for n in range(40)
            ] + [14.0]


async def test_thousands_of_bad_requests_in_one_packet_are_answered_one_after_the_other(
    listen: Any, row_wise: Any
) -> None:
    async with listen(row_wise()) as server:
        # The first one waits for the model, and the others for it.
        stream = post("/predict", body(1)) + post("/predict", b"{") * 3000
        received = responses(
            await server.send(stream + post("/predict", b"{", "connection: close"))
        )
        assert [response.status for response in received] == [200] + [400] * 3001
