"""Connections that are held for nothing: slow, silent, deaf, half closed, or just too many."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct

from .wire import INVOCATIONS, PATIENCE, PREDICT, V2, Connection, Said, Target, ask, connect, head

MANY = 200
CROWD = 10_000
DEAF = 600
_SMALL = b'{"inputs": [[0.0, 3.0]]}'


async def _hold(target: Target, count: int, stack: contextlib.AsyncExitStack) -> list[Connection]:
    return [await stack.enter_async_context(connect(target)) for _ in range(count)]


async def slow_heads(target: Target) -> None:
    """200 clients that begin a head and send a byte of it now and then."""
    await _slowly(target, b"POST /predict HTTP/1.1\r\nx: ", Said(400, "head is too slow"))


async def slow_bodies(target: Target) -> None:
    """200 clients that do so with a body."""
    begun = head(PREDICT, length=1000) + b"["
    await _slowly(target, begun, Said(408, "did not arrive within"))


async def _slowly(target: Target, begun: bytes, wanted: Said) -> None:
    async def one() -> None:
        async with connect(target) as connection:
            await connection.send(begun)
            answer = asyncio.create_task(connection.answer())
            while not (await asyncio.wait([answer], timeout=0.5))[0]:
                await connection.send(b" ")
            said = answer.result()
            assert said.status == wanted.status, said
            assert wanted.text in said.text, said

    async with asyncio.TaskGroup() as clients:
        for _ in range(MANY):
            clients.create_task(one())


async def nearly_whole_bodies(target: Target) -> None:
    """200 clients that send all of the largest body but its last byte: what slow ones can hold."""
    body = b" " * (target.max_bytes - 1)

    async def one() -> None:
        async with connect(target) as connection:
            await connection.send(head(INVOCATIONS, length=target.max_bytes) + body)
            said = await connection.answer()
            assert said.status == 408, said

    async with asyncio.TaskGroup() as clients:
        for _ in range(MANY):
            clients.create_task(one())


async def half_open(target: Target) -> None:
    """Clients that go away in the middle: silently, with an end to what they send, or with a reset."""
    begun = head(INVOCATIONS, length=len(_SMALL))
    reset = struct.pack("ii", 1, 0)
    async with contextlib.AsyncExitStack() as stack:
        await _hold(target, MANY, stack)  # and silence
        for connection in await _hold(target, MANY, stack):
            await connection.send(begun + _SMALL[:5])
            connection.writer.write_eof()
            said = await connection.answer()
            assert (said.status, said.text) == (400, "The request's body is incomplete."), said
        for connection in await _hold(target, MANY, stack):
            raw: socket.socket = connection.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            await connection.send(begun + _SMALL[:5])
            connection.writer.transport.abort()
        for connection in await _hold(target, MANY, stack):  # a whole request, and then nothing
            await connection.send(begun + _SMALL)
            connection.writer.write_eof()
            assert (await connection.answer()).status == 200


async def ten_thousand_connections(target: Target) -> None:
    """10,000 connections at once, half of them with half of a head, and a request among them."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(CROWD):
            connection = await stack.enter_async_context(connect(target))
            if number % 2:
                await connection.send(b"POST /predict HTTP/1.1\r\nx: ")
            if number % 1000 == 999:
                said = await ask(target, INVOCATIONS, _SMALL)
                assert said.status == 200, said


async def deaf_clients(target: Target) -> None:
    """600 clients that ask for an answer of more than a megabyte and never read it.

    Their segments and windows are as small as can be: on loopback, the kernel would take megabytes
    of an answer on its own account.
    """
    rows = (target.max_bytes - 1024) // 16
    tensor = {
        "name": "x", "datatype": "FP64", "shape": [rows, 2],
        "parameters": {"binary_data_size": rows * 16},
    }  # fmt: skip
    document = json.dumps({"inputs": [tensor]}).encode()
    body = document + struct.pack("<2d", 1.5, 0.1) * rows
    size = f"inference-header-content-length: {len(document)}"
    request = head(V2, size, length=len(body)) + body
    limit = asyncio.Semaphore(4)
    held: list[socket.socket] = []
    try:
        async with asyncio.TaskGroup() as clients:
            for _ in range(DEAF):
                clients.create_task(_ask_and_never_read(target, request, limit, held))
        assert (await ask(target, INVOCATIONS, _SMALL)).status == 200
    finally:
        for raw in held:
            raw.close()


async def _ask_and_never_read(
    target: Target, request: bytes, limit: asyncio.Semaphore, held: list[socket.socket]
) -> None:
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    held.append(raw)
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    async with limit, asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            await loop.sock_connect(raw, ("127.0.0.1", target.port))
            await loop.sock_sendall(raw, request)
            # The first bytes are here when the whole answer was written.
            said = await loop.sock_recv(raw, 12)
            # 504: others ask for too much at the same time.
            assert said in (b"HTTP/1.1 200", b"HTTP/1.1 504"), said
