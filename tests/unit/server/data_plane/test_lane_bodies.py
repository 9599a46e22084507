"""Bodies on the fast lane: in chunks, late, too large, announced, or wished for in another protocol."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from serinus_server import contract

from .raw import body, post, read, responses, slots_are_free


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


@pytest.mark.parametrize("path", ["/predict", "/predict?asgi", "/nowhere"])
async def test_who_expects_continue_and_is_refused_need_not_say_whether_the_body_comes(
    listen: Any, row_wise: Any, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n"
    async with listen(row_wise()) as server:
        (response,) = responses(await server.send(head.encode() + b"expect: 100-continue\r\n\r\n"))
        assert response.status in (404, 415)
        assert response.headers["connection"] == "close"
