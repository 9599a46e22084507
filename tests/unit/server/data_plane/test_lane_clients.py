"""Clients that leave, wait, never read or send garbage, and servers that are full, late or going."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from serinus_server import contract
from serinus_server.service.lifecycle import State

from .raw import body, post, read, reset, responses, slots_are_free


async def test_a_client_that_reads_nothing_is_not_read_from_either(
    listen: Any, row_wise: Any
) -> None:
    model = row_wise()
    request = post("/predict", json.dumps([[1.5] * 1000]).encode())
    async with listen(model) as server:
        reader, writer = await server.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        connections = server.state.connections
        async with asyncio.timeout(20):
            while not any(c.flow.write_paused for c in connections):
                writer.write(request)
                await asyncio.sleep(0)
            for _ in range(50):
                writer.write(request)
                await asyncio.sleep(0)
        asked = len(model.asked)
        (connection,) = connections
        assert len(connection.pipeline) < 1000
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(model.asked) == asked  # nothing more is asked for it
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(asked + 1):
            assert (await read(reader)).status == 200
        writer.transport.abort()


async def test_an_idle_connection_keeps_nothing_of_its_last_request(
    listen: Any, row_wise: Any
) -> None:
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        values = [n + 0.640625 for n in range(1000)]  # nobody else in this process has such a list
        writer.write(post("/predict", body(*values)))
        assert (await read(reader)).status == 200
        ends = (values.pop(), 2 * 999.640625)
        gc.collect()
        # A list's end may be anything, for which being equal may mean anything.
        last = [o[-1] for o in gc.get_objects() if type(o) is list and len(o) == 1000]
        assert not any(type(value) is float and value in ends for value in last)


@pytest.mark.parametrize("quick", [True, False])
async def test_a_client_that_leaves_frees_its_slot_and_its_neighbours_notice_nothing(
    listen: Any, row_wise: Any, gate: Any, *, quick: bool
) -> None:
    model = row_wise(quick=quick)
    async with listen(model) as server:
        if not quick:
            model.gate = gate
        leaving = [await server.connect() for _ in range(20)]
        staying = [await server.connect() for _ in range(20)]
        for (_, gone), (_, stays) in zip(leaving, staying, strict=True):
            gone.write(post("/predict", body(1)) if not quick else post("/predict", body(1))[:-2])
            stays.write(post("/predict", body(2)))
        if not quick:
            await asyncio.to_thread(gate.entered.acquire)
        for _, gone in leaving:
            reset(gone)
        async with asyncio.timeout(5):
            while len(server.state.connections) > 20:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        gate.open.set()
        for reader, writer in staying:
            assert (await read(reader)).predictions == [[4.0]]
            writer.close()
        await slots_are_free(server)
        requests = contract.METRIC_REQUESTS
        assert await server.metric(requests, code="4xx", traffic="live") == 20  # 499, unsent
        assert await server.metric(requests, code="2xx", traffic="live") == 20


async def test_who_leaves_before_his_turn_is_not_asked_for(
    listen: Any, row_wise: Any, gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})  # one call at once
    model = row_wise(quick=False)
    model.gate = gate
    async with listen(model) as server:
        clients = [await server.connect() for _ in range(11)]
        clients[0][1].write(post("/predict", body(1)))
        await asyncio.to_thread(gate.entered.acquire)
        for _, writer in clients[1:]:
            writer.write(post("/predict", body(1)))
        async with asyncio.timeout(5):
            while await server.metric(contract.METRIC_IN_FLIGHT) < 11:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        for _, writer in clients[1:6]:
            reset(writer)
        async with asyncio.timeout(5):
            while await server.metric(contract.METRIC_IN_FLIGHT) > 6:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        gate.open.set()
        for reader, _ in (clients[0], *clients[6:]):
            assert (await read(reader)).status == 200
        assert model.rows == [1, 5]


async def test_overload_is_503_with_retry_after_on_connections_that_stay(
    listen: Any, row_wise: Any, gate: Any
) -> None:
    model = row_wise(quick=False)
    model.gate = gate
    async with listen(model, SERINUS_MAX_CONCURRENCY="2") as server:
        busy = [await server.connect() for _ in range(2)]
        for _, writer in busy:
            writer.write(post("/predict", body(1)))
        await asyncio.to_thread(gate.entered.acquire)
        async with asyncio.timeout(5):
            while await server.metric(contract.METRIC_IN_FLIGHT) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        reader, writer = await server.connect()
        for _ in range(3):
            writer.write(post("/predict", body(3)))
            refused = await read(reader)
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert "connection" not in refused.headers
        gate.open.set()
        for busy_reader, busy_writer in busy:
            assert (await read(busy_reader)).status == 200
            busy_writer.close()
        writer.write(post("/predict", body(3)))
        assert (await read(reader)).predictions == [[6.0]]
        writer.close()


async def test_a_timeout_is_504_and_the_connection_goes_on(
    listen: Any, row_wise: Any, gate: Any
) -> None:
    model = row_wise(quick=False)
    model.gate = gate
    async with listen(model, SERINUS_REQUEST_TIMEOUT="0.05") as server:
        reader, writer = await server.connect()
        writer.write(post("/predict", body(1)))
        assert (await read(reader)).status == 504
        gate.open.set()
        await slots_are_free(server)
        writer.write(post("/predict", body(2)))
        assert (await read(reader)).predictions == [[4.0]]
        writer.close()


async def test_a_draining_server_answers_and_closes(listen: Any, row_wise: Any) -> None:
    async with listen(row_wise(), SERINUS_DRAIN_SECONDS="30") as server:
        reader, writer = await server.connect()
        writer.write(post("/predict", body(1)))
        assert "connection" not in (await read(reader)).headers
        draining = asyncio.create_task(server.application.drain())
        await server.until(State.DRAINING)
        writer.write(b"".join(post("/predict", body(n)) for n in (1, 2, 3)))  # all are answered
        for number in (1, 2, 3):
            response = await read(reader)
            assert response.predictions == [[2.0 * number]]
            assert ("connection" in response.headers) is (number == 3)
        assert response.headers["connection"] == "close"
        assert await reader.read() == b""
        writer.close()
        draining.cancel()


async def test_idle_connections_are_closed_and_busy_ones_are_not(
    listen: Any, row_wise: Any, gate: Any
) -> None:
    model = row_wise(quick=False)
    async with listen(model) as server:
        idle, _ = await server.connect()
        busy, writer = await server.connect()
        model.gate = gate
        writer.write(post("/predict", body(1)))
        await asyncio.to_thread(gate.entered.acquire)
        for connection in server.state.connections:
            connection.timeout_keep_alive = 0.01
            connection._close_if_idle()
        async with asyncio.timeout(5):
            assert await idle.read() == b""
        gate.open.set()
        assert (await read(busy)).predictions == [[2.0]]
        async with asyncio.timeout(5):
            assert await busy.read() == b""
        writer.close()


async def test_who_has_said_all_still_gets_the_answers(
    listen: Any, row_wise: Any, gate: Any
) -> None:
    model = row_wise(quick=False)
    model.gate = gate
    async with listen(model) as server:
        for path in ("/predict", "/predict?asgi"):
            gate.open.clear()
            reader, writer = await server.connect()
            writer.write(post(path, body(1)) + post("/predict", body(2)) + post(path, body(3)))
            writer.write_eof()
            await asyncio.to_thread(gate.entered.acquire)
            gate.open.set()
            async with asyncio.timeout(5):
                received = responses(await reader.read())
            assert [response.predictions for response in received] == [[[2.0]], [[4.0]], [[6.0]]]
            assert received[-1].headers["connection"] == "close"
        await slots_are_free(server)


BROKEN = [
    b"NO REQUEST\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"POST /predict?asgi HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000,
    b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST http://x HTTP/1.1\r\nhost: x\r\n\r\n",
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("path", ["/predict", "/predict?asgi"])
async def test_what_is_no_request_is_refused_after_the_answers_to_the_requests_ahead(
    listen: Any, row_wise: Any, gate: Any, path: str, broken: bytes
) -> None:
    model = row_wise(quick=False)
    model.gate = gate
    async with listen(model, patience=0.1) as server:
        for ahead in (0, 1, 3):
            gate.open.clear()
            reader, writer = await server.connect()
            writer.write(b"".join(post(path, body(n + 1)) for n in range(ahead)) + broken)
            if ahead:
                await asyncio.to_thread(gate.entered.acquire)
            gate.open.set()
            async with asyncio.timeout(5):
                received = responses(await reader.read())
            assert [r.predictions for r in received[:ahead]] == [[[2.0]], [[4.0]], [[6.0]]][:ahead]
            assert [r.status for r in received[ahead:]] == [400]
            writer.close()
            async with asyncio.timeout(5):
                while server.state.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        await slots_are_free(server)


@pytest.mark.parametrize("paths", [("/predict", "/predict"), ("/predict?asgi", "/predict")])
async def test_answers_keep_their_order_for_a_client_that_begins_to_read_late(
    listen: Any, row_wise: Any, gate: Any, paths: tuple[str, str]
) -> None:
    model = row_wise(quick=False)
    model.gate = gate
    gate.open.set()
    large = post("/predict", json.dumps([[1.5] * 1000] * 400).encode())
    async with listen(model, SERINUS_MAX_REQUEST_BYTES="10000000") as server:
        reader, writer = await server.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = server.state.connections
        asked = 0
        async with asyncio.timeout(20):
            while not connection._blocked:
                writer.write(large)
                asked += 1
                while len(model.asked) < asked or connection._unanswered:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        gate.open.clear()
        for number, path in enumerate(paths):
            writer.write(post(path, body(number + 1)))
            async with asyncio.timeout(5):
                while connection._unanswered <= number and not connection.flow.read_paused:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            for _ in range(asked):
                assert (await read(reader)).status == 200
            while connection._blocked or connection._unanswered < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        assert len(connection.pipeline) == 1  # one at once
        gate.open.set()
        assert [(await read(reader)).predictions for _ in paths] == [[[2.0]], [[4.0]]]


async def test_a_client_that_never_reads_is_let_go(listen: Any, row_wise: Any) -> None:
    large = post("/predict", json.dumps([[1.5] * 1000] * 40).encode())
    async with listen(row_wise()) as server:
        _, writer = await server.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = server.state.connections
        async with asyncio.timeout(20):
            while not connection.flow.write_paused:
                writer.write(large)
                await asyncio.sleep(0.001)
            connection.timeout_keep_alive = 0.02
            connection._close_if_idle()
            while server.state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await slots_are_free(server)


async def test_broken_bytes_are_refused_to_who_has_said_all_too(listen: Any, row_wise: Any) -> None:
    async with listen(row_wise()) as server:
        for path in ("/predict", "/predict?asgi"):
            reader, writer = await server.connect()
            writer.write(post(path, body(1)) + post(path, body(2)) + BROKEN[0])
            writer.write_eof()
            async with asyncio.timeout(5):
                received = responses(await reader.read())
            assert [response.status for response in received] == [200, 200, 400]
