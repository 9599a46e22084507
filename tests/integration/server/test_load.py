"""A real server with many clients at once: everybody gets his own answer, also while it drains."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from serinus_server import contract

CLIENTS = 48


class Client:
    """One keep-alive connection after the other; counts what it was told."""

    def __init__(self, url: str, number: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._number = number
        self.right = 0
        self.told_to_leave = 0

    async def ask_until(self, enough: asyncio.Event) -> None:
        reader = writer = None
        while not enough.is_set():
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection(*self._address)
            value = float(self._number * 1_000_000 + self.right)
            rows = [[0.0, value + n] for n in range(1 + self._number % 3)]
            body = json.dumps({"inputs": rows}).encode()
            writer.write(
                b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200"), head
            length = int(head.partition("content-length: ")[2].split("\r\n")[0])
            predictions = json.loads(await reader.readexactly(length))["predictions"]
            assert len(predictions) == len(rows)
            for (_, second), predicted in zip(rows, predictions, strict=True):
                assert abs(predicted - 2 * second) < 1e-3
            self.right += 1
            if "connection: close" in head:
                self.told_to_leave += 1
                writer.close()
                await writer.wait_closed()
                writer = None
        if writer is not None:
            writer.close()
            await writer.wait_closed()


async def test_no_request_of_many_clients_fails_or_is_mixed_up_while_the_server_drains(
    start: Any,
) -> None:
    server = start(SERINUS_DRAIN_SECONDS="3")
    await asyncio.to_thread(server.until_ready)
    enough = asyncio.Event()
    clients = [Client(server.url, number) for number in range(CLIENTS)]
    tasks = [asyncio.create_task(client.ask_until(enough)) for client in clients]
    try:
        async with asyncio.timeout(60):
            while min(client.right for client in clients) < 5:
                await asyncio.sleep(0.01)
                assert not any(task.done() for task in tasks), [t for t in tasks if t.done()]
            assert await asyncio.to_thread(server.status, contract.PATH_LIVE) == 200
            server.terminate()
            while not all(client.told_to_leave for client in clients):
                await asyncio.sleep(0.01)
                assert not any(task.done() for task in tasks), [t for t in tasks if t.done()]
        enough.set()
        await asyncio.gather(*tasks)
    finally:
        enough.set()
        for task in tasks:
            task.cancel()
    assert await asyncio.to_thread(server.wait) == 0
