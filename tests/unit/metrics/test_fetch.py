"""An answer has one deadline and one size, whatever the other side does."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from serinus.metrics.fetch import FetchFailed, fetch

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.asynccontextmanager
async def server(peer: Peer) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await peer(reader, writer)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=30) as client:
        yield client


async def test_a_peer_that_drips_is_cut_off_at_the_deadline(client) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while not reader.at_eof():
            writer.write(b"1\r\n#\r\n")
            await writer.drain()
            with contextlib.suppress(TimeoutError):  # the time between two drips
                await asyncio.wait_for(reader.read(1), 0.02)

    async with server(drip) as url, asyncio.timeout(5):
        with pytest.raises(FetchFailed, match=r"completely within 0\.2 s"):
            await fetch(client, "GET", url, limit=1000, seconds=0.2)


async def test_a_body_without_end_is_cut_off_at_the_limit(client) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while True:
            writer.write(b"400\r\n" + b"#" * 0x400 + b"\r\n")
            await writer.drain()

    async with server(flood) as url, asyncio.timeout(5):
        with pytest.raises(FetchFailed, match="more than 5000 bytes"):
            await fetch(client, "GET", url, limit=5000, seconds=5)


async def test_a_packed_answer_is_refused_unread(client) -> None:
    asked: list[str] = []

    def bomb(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers["Accept-Encoding"])
        packed = gzip.compress(b"#" * 100)
        return httpx2.Response(200, headers={"Content-Encoding": "gzip"}, content=packed)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(bomb)) as mocked:
        with pytest.raises(FetchFailed, match="gzip"):
            await fetch(mocked, "GET", "http://pod/", limit=1000, seconds=1)
    assert asked == ["identity"]


@pytest.mark.parametrize("url", ["http://fd00::1:8080/", "http://pod:99999999/", "http://\x00/"])
async def test_an_address_that_is_none_is_a_failure_in_words(client, url: str) -> None:
    with pytest.raises(FetchFailed):
        await fetch(client, "GET", url, limit=1000, seconds=1)


async def test_a_bracketed_ipv6_address_is_asked() -> None:
    def hello(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, text=request.url.host)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(hello)) as mocked:
        found = await fetch(mocked, "GET", "http://[fd00::1]:8080/", limit=100, seconds=1)
    assert found == (200, b"fd00::1")
