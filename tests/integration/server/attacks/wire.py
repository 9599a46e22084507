"""HTTP as attackers write it: bytes, and what the server says to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import NamedTuple

PATIENCE = 30.0  # seconds for any one thing to happen
_SOURCES = itertools.cycle(f"127.0.0.{number}" for number in range(2, 12))

INVOCATIONS, PREDICT, V2 = "/invocations", "/predict", "/v2/models/churn/infer"


@dataclass(frozen=True, slots=True)
class Target:
    """The server under attack: its ports, and its limits."""

    port: int
    grpc_port: int
    timeout: float  # seconds that it gives a head, a body and an answer
    max_bytes: int


class Said(NamedTuple):
    """One response."""

    status: int
    text: str


class Connection:
    """One connection to the target; each comes from one of several addresses in turn, so that no
    address runs out of ports."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        """Send ``parts``, until all is sent or the server reads no more."""
        with contextlib.suppress(ConnectionError):
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()

    async def answer(self) -> Said:
        """The next response; status 0 where the connection ended without one."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
                body = await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return Said(0, "")
        return Said(int(head[9:12]), body.decode())

    async def ended(self) -> bool:
        """Wait until the server ends the connection; whether nothing was said before that."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


@contextlib.asynccontextmanager
async def connect(target: Target) -> AsyncIterator[Connection]:
    """A connection, which ends with the context."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", target.port, local_addr=(next(_SOURCES), 0)
        )
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


def head(
    path: str, *lines: str, media: str = "application/json", length: int | None = None
) -> bytes:
    """A request's head; ``lines`` are further headers."""
    every = [f"POST {path} HTTP/1.1", "host: x", f"content-type: {media}", *lines]
    if length is not None:
        every.append(f"content-length: {length}")
    return "\r\n".join([*every, "", ""]).encode("latin-1")


async def ask(
    target: Target, path: str, body: bytes, *lines: str, media: str = "application/json"
) -> Said:
    """The answer to one whole request on a connection of its own."""
    async with connect(target) as connection:
        await connection.send(head(path, *lines, media=media, length=len(body)) + body)
        return await connection.answer()


async def say(target: Target, *parts: bytes) -> Said:
    """The answer to ``parts``; the server may answer before it has all of them."""
    async with connect(target) as connection:
        sending = asyncio.create_task(connection.send(*parts))
        try:
            return await connection.answer()
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending


def chunked(parts: Iterable[bytes]) -> list[bytes]:
    """``parts`` as the chunks of a body."""
    return [*(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]
