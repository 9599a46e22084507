"""The lane against ASGI, with random requests: both ways must give the same answers in their order.

What is sent is the same but for the path: ``/predict?`` means ``/predict``, and takes the other way.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

V2 = "/v2/models/churn/infer"
VALUES = (
    "1",
    "2.5",
    "-3e2",
    "NaN",
    "null",
    '"a"',
    "true",
    "[]",
    "{}",
    "1e999",
    "12345678901234567890",
)
HEADERS = (
    "content-type: text/csv",
    "content-type: application/json; charset=utf-8",
    "content-type: application/octet-stream",
    "content-type: ",
    "content-encoding: gzip",
    "content-encoding: identity",
    "x-request-id: abc",
    "x-request-id: \x7f",
    "inference-header-content-length: -1",
    "inference-header-content-length: 9999",
    "connection: keep-alive",
    "connection: upgrade\r\nupgrade: h2c",
)  # fmt: skip


def rows(draw: random.Random) -> str:
    def value() -> str:
        return draw.choice(VALUES) if draw.random() < 0.1 else str(draw.randrange(9))

    lengths = [draw.choice((2, 2, 2, 2, 2, 1, 3)) for _ in range(draw.choice((0, 1, 1, 2, 70)))]
    return f"[{','.join('[' + ','.join(value() for _ in range(n)) + ']' for n in lengths)}]"


def damaged(draw: random.Random, content: bytes) -> bytes:
    at = draw.randrange(len(content))
    instead = bytes([draw.randrange(256)]) * draw.randrange(3)
    return content[:at] + instead + content[at + draw.randrange(4) :]


def a_body(draw: random.Random, path: str) -> bytes:
    if path == V2:
        tensor = {"name": "x", "shape": [draw.randrange(4), 2], "datatype": "FP64", "data": 0}
        template = json.dumps({"inputs": [tensor]}).replace('"data": 0', '"data": %s')
    elif path == "/invocations":
        template = draw.choice(
            ('{"inputs": %s}', '{"instances": %s}', '{"inputs": %s, "params": 1}')
        )
    else:
        template = draw.choice(("%s", '{"instances": %s}'))
    content = (template % rows(draw)).encode()
    return damaged(draw, content) if draw.random() < 0.2 else content


def a_request(draw: random.Random, *, is_last: bool) -> Callable[[str], bytes]:
    """One request, which takes its way by what is put behind its path."""
    path = draw.choice(("/predict", "/invocations", V2))
    content = a_body(draw, path)
    headers = ["host: x", *(header for header in HEADERS if draw.random() < 0.05)]
    if is_last:
        headers = [header for header in headers if not header.startswith("connection")]
        headers.append("connection: close")
    if draw.random() < 0.3:
        headers.append("transfer-encoding: chunked")
        size = draw.choice((1, 7, 100))
        chunks = [content[n : n + size] for n in range(0, len(content), size)]
        extension = draw.choice((b"", b";a=b"))
        content = b"".join(b"%x%b\r\n%b\r\n" % (len(c), extension, c) for c in chunks)
        content += b"0\r\n" + draw.choice((b"", b"content-encoding: gzip\r\n")) + b"\r\n"
    else:
        headers.append(f"content-length: {len(content)}")
    version = draw.choice(("1.1",) * 30 + ("1.0",))
    if version == "1.0":
        headers = [header for header in headers if "upgrade" not in header]
    after = "\r\n".join([f" HTTP/{version}", *headers, "", ""]).encode() + content
    if draw.random() < 0.02:
        after = damaged(draw, after)
    return lambda mark: f"POST {path}{mark}".encode() + after


async def exchange(server: Any, stream: bytes) -> bytes:
    """All that comes back. A request that is not whole need not be waited for: the stream ends."""
    reader, writer = await server.connect()
    writer.write(stream)
    writer.write_eof()
    async with asyncio.timeout(10):
        received: bytes = await reader.read()
    writer.close()
    return received


def answers(received: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Status and body of all responses; what differs from call to call is taken out."""
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length, head
        end = int(length[1])
        yield head[9:12], re.sub(rb"under \w+", b"under ID", rest[:end])
        received = rest[end:]


@pytest.mark.parametrize("seed", range(4))
async def test_random_requests_get_the_same_answers_on_both_ways(
    listen: Any, row_wise: Any, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311
    statuses = set()
    async with listen(row_wise()) as server:
        for _ in range(80):
            length = draw.choice((1, 1, 2, 6))
            requests = [a_request(draw, is_last=n == length - 1) for n in range(length)]
            turns = count()
            ways: list[Callable[[], str]] = [
                lambda: "",
                lambda: "?",
                lambda turns=turns: "?" * (next(turns) % 2),  # type: ignore[misc]
            ]
            streams = [b"".join(request(way()) for request in requests) for way in ways]
            lane, asgi, mixed = [list(answers(await exchange(server, s))) for s in streams]
            assert lane == asgi, streams[0]
            assert lane == mixed, streams[2]
            statuses |= {status for status, _ in lane}
        assert statuses >= {b"200", b"400", b"415", b"422"}
        assert server.application.inference._limiter.used == 0
