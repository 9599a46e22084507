"""Predictions that come by the fast lane: HTTP as clients really speak it, well or badly."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import struct
from typing import Any

import pytest

from serinus_server import contract
from serinus_server.service.lifecycle import State

V2 = "/v2/models/churn/infer"


def body(*values: float) -> bytes:
    return json.dumps([list(values)]).encode()


def post(path: str, content: bytes, *headers: str, version: str = "1.1") -> bytes:
    """A request with its whole body."""
    lines = [f"POST {path} HTTP/{version}", "host: x", f"content-length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Response:
    """One response, read from a stream."""

    def __init__(self, head: bytes, content: bytes) -> None:
        self.status = int(head.split()[1])
        lines = head.decode().split("\r\n")[1:]
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        self.content = content

    @property
    def predictions(self) -> Any:
        return json.loads(self.content)["predictions"]


async def read(reader: asyncio.StreamReader) -> Response:
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
        length = re.search(rb"content-length: (\d+)", head)
        assert length, head
        return Response(head, await reader.readexactly(int(length[1])))


def responses(received: bytes) -> list[Response]:
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        response = Response(head, b"")
        length = int(response.headers["content-length"])
        response.content, received = rest[:length], rest[length:]
        found.append(response)
    return found


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave at once. Without this option it would look as if the client still read answers."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def slots_are_free(server: Any) -> None:
    async with asyncio.timeout(5):
        while await server.metric(contract.METRIC_IN_FLIGHT):  # noqa: ASYNC110 - its value is not ours to signal
            await asyncio.sleep(0.001)


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


@pytest.mark.parametrize("trailer", [b"", b"x-checksum: 1\r\n"])
async def test_chunked_bodies(listen: Any, row_wise: Any, trailer: bytes) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        for piece in (head, b"3\r\n[[4", b"\r\n2\r\n]]\r\n", b"0\r\n" + trailer + b"\r\n"):
            writer.write(piece)
            await writer.drain()
        assert (await read(reader)).predictions == [[8.0]]
        writer.close()


async def test_expect_continue_is_told_to_go_on_before_the_body(listen: Any, row_wise: Any) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        for _ in range(2):
            writer.write(head)
            async with asyncio.timeout(5):
                assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"[[4]]")
            assert (await read(reader)).predictions == [[8.0]]
        writer.write(head + b"[[5]]")  # a client that does not wait: no need to tell it
        async with asyncio.timeout(5):
            first = await reader.readuntil(b"\r\n\r\n")
        if first.startswith(b"HTTP/1.1 100"):
            first = await reader.readuntil(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200")
        writer.close()


async def test_expect_continue_with_too_much_is_refused_before_the_body(
    listen: Any, row_wise: Any
) -> None:
    async with listen(row_wise(), SERINUS_MAX_REQUEST_BYTES="10") as server:
        (response,) = responses(
            await server.send(
                b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n"
                b"expect: 100-continue\r\n\r\n"
            )
        )
        assert response.status == 413
        assert response.headers["connection"] == "close"


async def test_http_1_0_and_connection_close_end_the_connection(listen: Any, row_wise: Any) -> None:
    async with listen(row_wise()) as server:
        for request in (
            post("/predict", body(1), version="1.0"),
            post("/predict", body(1), "connection: close"),
        ):
            (response,) = responses(await server.send(request))
            assert response.predictions == [[2.0]]
            assert response.headers["connection"] == "close"


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_limit_of_bytes_is_told_even_to_who_sends_all_before_he_reads(
    listen: Any, row_wise: Any, *, chunked: bool
) -> None:
    huge = b"[" + b"1," * 4_000_000
    length = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(huge)
    start = b"%x\r\n" % len(huge) if chunked else b""

    def send_all(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % length)
            connection.sendall(start + huge)
            received = b""
            while piece := connection.recv(65536):
                received += piece
            return received

    async with listen(row_wise(), SERINUS_MAX_REQUEST_BYTES="1000") as server:
        (response,) = responses(await asyncio.to_thread(send_all, server.port))
        assert response.status == 413
        assert b"1000 bytes" in response.content
        await slots_are_free(server)


async def test_who_sends_on_after_an_early_answer_is_cut_off_at_the_limit_of_bytes(
    listen: Any, row_wise: Any
) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\n"
    async with listen(row_wise(), SERINUS_MAX_REQUEST_BYTES="1000") as server:
        reader, writer = await server.connect()
        writer.write(head + b"transfer-encoding: chunked\r\n\r\n")
        assert (await read(reader)).status == 415
        writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        writer.write(b"1\r\nx\r\n")
        async with asyncio.timeout(5):
            assert await reader.read() == b""


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_wish_for_http_2_is_passed_over_and_the_body_is_read(
    listen: Any, row_wise: Any, *, in_pieces: bool
) -> None:
    wish = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        for path in ("/predict", "/predict?asgi"):
            request = post(path, body(4), *wish)
            if in_pieces:
                writer.write(request[:-2])
                await writer.drain()
                async with asyncio.timeout(5):
                    while not any(c._in_body for c in server.state.connections):  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
                writer.write(request[-2:] + post(path, body(5)))
            else:
                writer.write(request + post(path, body(5)))
            assert (await read(reader)).predictions == [[8.0]]
            assert (await read(reader)).predictions == [[10.0]]
        last = post("/predict", body(1), "connection: upgrade, close", "upgrade: websocket")
        (response,) = responses(await server.send(last))
        assert response.predictions == [[2.0]]


async def test_a_tunnel_is_refused(listen: Any, row_wise: Any) -> None:
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        writer.write(b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read(reader)).status in (400, 404, 405)


@pytest.mark.parametrize("sent", [b"", b"[[1"])
async def test_a_body_that_does_not_come_is_408_and_gives_its_slot_back(
    listen: Any, row_wise: Any, sent: bytes
) -> None:
    async with listen(row_wise(), patience=0.05, SERINUS_REQUEST_TIMEOUT="0.05") as server:
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"
        (response,) = responses(await server.send(head + sent))
        assert response.status == 408
        assert response.headers["connection"] == "close"
        await slots_are_free(server)


async def test_a_pipelined_body_that_does_not_come_is_408_when_its_turn_comes(
    listen: Any, row_wise: Any, gate: Any
) -> None:
    model = row_wise(quick=False)
    model.gate = gate
    async with listen(model, patience=0.05) as server:
        reader, writer = await server.connect()
        writer.write(post("/predict", body(1)))
        writer.write(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n[[1")
        await asyncio.to_thread(gate.entered.acquire)
        (connection,) = server.state.connections
        async with asyncio.timeout(5):
            while connection._arrival_timer is None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            while connection._arrival_timer is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        gate.open.set()
        assert (await read(reader)).predictions == [[2.0]]
        assert (await read(reader)).status == 408


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


async def test_what_follows_an_early_answer_is_read_over_but_not_for_ever(
    listen: Any, row_wise: Any
) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\n"
        b"content-length: 100\r\n\r\n"
    )
    async with listen(row_wise(), patience=0.2) as server:
        reader, writer = await server.connect()
        writer.write(head)
        assert (await read(reader)).status == 415
        writer.write(b"x" * 100)
        writer.write(post("/predict", body(3)))
        assert (await read(reader)).predictions == [[6.0]]
        writer.write(head)
        assert (await read(reader)).status == 415
        async with asyncio.timeout(5):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        writer.close()


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


async def test_a_large_body_is_answered_as_a_small_one(listen: Any, row_wise: Any) -> None:
    rows = [[float(n), 1.0] for n in range(8000)]
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        writer.write(post("/predict", json.dumps(rows).encode()))
        assert (await read(reader)).predictions == [[2 * a, 2 * b] for a, b in rows]
        writer.write(post("/predict", json.dumps([["a"]] * 8000).encode()))
        assert (await read(reader)).status == 422
        writer.close()
        assert await server.metric(contract.METRIC_ROWS) == 8000


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


@pytest.mark.parametrize("path", ["/predict", "/predict?asgi"])
async def test_trailers_are_no_headers_and_not_endless(
    listen: Any, row_wise: Any, path: str
) -> None:
    start = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    start += b"5\r\n[[4]]\r\n0\r\n"
    async with listen(row_wise()) as server:
        reader, writer = await server.connect()
        for _ in range(2):
            writer.write(post("/predict", body(1)))  # so that the other one waits in the pipeline
            writer.write(start + b"content-encoding: gzip\r\nx-request-id: 7\r\n\r\n")
            assert (await read(reader)).status == 200
            response = await read(reader)
            assert response.predictions == [[8.0]]
            assert "x-request-id" not in response.headers
        reader, writer = await server.connect()
        writer.write(start + b"x: ")
        writer.write(b"a" * 200_000)
        async with asyncio.timeout(10):
            (refused,) = responses(await reader.read())
        assert (refused.status, refused.content[-10:]) == (400, b"too large.")


async def test_wishes_for_http_2_in_a_row_are_all_passed_over(listen: Any, row_wise: Any) -> None:
    wish = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    async with listen(row_wise()) as server:
        requests = [post("/predict", body(n), *wish) for n in range(50)]
        last = post("/predict", body(50), "connection: close")
        received = responses(await server.send(b"".join(requests) + last))
        assert [response.predictions for response in received] == [[[2.0 * n]] for n in range(51)]


async def test_http_1_0_knows_of_no_continue(listen: Any, row_wise: Any) -> None:
    async with listen(row_wise()) as server:
        for path in ("/predict", "/predict?asgi"):
            request = post(path, body(4), "expect: 100-continue", version="1.0")
            (response,) = responses(await server.send(request))
            assert response.predictions == [[8.0]]


async def test_broken_bytes_are_refused_to_who_has_said_all_too(listen: Any, row_wise: Any) -> None:
    async with listen(row_wise()) as server:
        for path in ("/predict", "/predict?asgi"):
            reader, writer = await server.connect()
            writer.write(post(path, body(1)) + post(path, body(2)) + BROKEN[0])
            writer.write_eof()
            async with asyncio.timeout(5):
                received = responses(await reader.read())
            assert [response.status for response in received] == [200, 200, 400]


@pytest.mark.parametrize("path", ["/predict", "/predict?asgi", "/nowhere"])
async def test_who_expects_continue_and_is_refused_need_not_say_whether_the_body_comes(
    listen: Any, row_wise: Any, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n"
    async with listen(row_wise()) as server:
        (response,) = responses(await server.send(head.encode() + b"expect: 100-continue\r\n\r\n"))
        assert response.status in (404, 415)
        assert response.headers["connection"] == "close"
