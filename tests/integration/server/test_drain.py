"""A rolling update under load: clients that obey ``Connection: close`` lose nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from serinus_server import contract

CLIENTS, RATE = 25, 500  # connections; requests per second over all of them
DRAIN = 2.0
BODY = b'{"inputs": [[0.0, 3.0]]}'
REQUEST = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


@dataclass
class Fleet:
    """Clients that know two servers, and go to the second one when the first one tells them to."""

    addresses: list[tuple[str | None, int | None]]
    answers: list[int] = field(default_factory=lambda: [0, 0])
    moved: int = 0
    stop: bool = False

    async def run(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        server = 0
        reader, writer = await asyncio.open_connection(*self.addresses[server])
        due = loop.time() + number / RATE
        while not self.stop:
            await asyncio.sleep(max(0.0, due - loop.time()))  # the rate is the load
            due = max(due + CLIENTS / RATE, loop.time() - 1)
            writer.write(REQUEST)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert await reader.readexactly(length) == b'{"predictions":[6.0]}'
            self.answers[server] += 1
            if b"connection: close" in head:
                self.moved += 1
                writer.close()
                server = 1
                reader, writer = await asyncio.open_connection(*self.addresses[server])
        writer.close()


async def test_no_request_fails_when_a_server_under_load_is_told_to_stop(start: Any) -> None:
    servers = [start(SERINUS_DRAIN_SECONDS=str(DRAIN)) for _ in range(2)]
    addresses = []
    for server in servers:
        await asyncio.to_thread(server.until_ready)
        parts = urlsplit(server.url)
        addresses.append((parts.hostname, parts.port))
    old = servers[0]
    fleet = Fleet(addresses)
    clients = [asyncio.create_task(fleet.run(number)) for number in range(CLIENTS)]

    async def until(condition: Any) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.005)
                for client in clients:
                    if client.done():
                        client.result()

    try:
        await until(lambda: fleet.answers[0] > RATE)
        begin = time.monotonic()
        old.terminate()
        await until(lambda: fleet.moved > 0)
        response = await asyncio.to_thread(httpx2.get, old.url + contract.PATH_READY)
        assert response.status_code == 503
        assert response.json()["state"] == "draining"
        assert (await asyncio.to_thread(httpx2.get, old.url + contract.PATH_LIVE)).is_success
        assert time.monotonic() - begin < DRAIN
        assert await asyncio.to_thread(old.wait) == 0
        assert DRAIN <= time.monotonic() - begin < DRAIN + 5
        await until(lambda: fleet.answers[1] > RATE)
    finally:
        fleet.stop = True
        await asyncio.gather(*clients)
    assert fleet.moved == CLIENTS
    assert not any("Traceback" in line or '"error"' in line for line in old.log), old.log
