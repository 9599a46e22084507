"""HTTP as bytes, for tests that say exactly what is on the wire."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from typing import Any

from serinus_server import contract

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
