"""Health is answered soon whatever else happens: slow models, floods, full tables of files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import socket
import statistics
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from serinus_server import contract

QUICK = {"inputs": [[0.0, 3.0]]}
PROBES = 60
# The promise is 50 ms on a processor of its own. Here tests and others share two.
SOON, AT_WORST = 0.05, 0.5


def probe(url: str, times: int = PROBES) -> list[float]:
    """Seconds that liveness took, each time on a new connection as a kubelet does."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        with connect(url) as connection:
            assert ask(connection).startswith(b"HTTP/1.1 200")
        found.append(time.perf_counter() - begin)
    return found


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def judge(seconds: list[float]) -> None:
    assert statistics.median(seconds) < SOON, sorted(seconds)
    assert max(seconds) < AT_WORST, sorted(seconds)


async def test_health_is_answered_while_a_slow_model_holds_all_workers_and_clients_flood(
    start: Any,
) -> None:
    server = start(SERINUS_MAX_CONCURRENCY="16")
    await asyncio.to_thread(server.until_ready)
    parts = urlsplit(server.url)
    body = b'{"inputs": [[1.0, 3.0]]}'
    request = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    request += body
    refused = answered = 0
    flooding = True

    async def flood() -> None:
        nonlocal refused, answered
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while flooding:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            if head.startswith(b"http/1.1 503"):
                assert b"\r\nretry-after: 1\r\n" in head
                refused += 1
                await asyncio.sleep(0.2)  # as Retry-After asks, but less patient
            else:
                assert head.startswith(b"http/1.1 200")
                answered += 1
        writer.close()

    clients = [asyncio.create_task(flood()) for _ in range(256)]
    try:
        async with asyncio.timeout(30):
            while refused < 300:
                await asyncio.sleep(0.01)
                assert not any(client.done() for client in clients)
        seconds = await asyncio.to_thread(probe, server.url)
    finally:
        flooding = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.gather(*clients)
    judge(seconds)
    assert answered >= 16
    # And all of it is over when they stop.
    answer = await asyncio.to_thread(httpx2.post, f"{server.url}/invocations", json=QUICK)
    assert answer.status_code == 200
    text = (await asyncio.to_thread(httpx2.get, server.url + contract.PATH_METRICS)).text
    (in_flight,) = [line for line in text.splitlines() if line.startswith("serinus_in_flight{")]
    assert in_flight.endswith(" 0.0")


def test_after_504_the_slot_is_taken_until_the_model_returns(start: Any) -> None:
    server = start(SERINUS_MAX_CONCURRENCY="1", SERINUS_REQUEST_TIMEOUT="0.3")
    server.until_ready()
    url = f"{server.url}/invocations"
    with httpx2.Client() as client:
        begin = time.monotonic()
        late = client.post(url, json={"inputs": [[2.0, 1.0]]})
        assert late.status_code == 504
        assert time.monotonic() - begin < 1.5
        busy = client.post(url, json=QUICK)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
        judge(probe(server.url, 10))
        deadline = begin + 15
        while client.post(url, json=QUICK).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert time.monotonic() - begin >= 2.0
        assert client.post(url, json=QUICK).status_code == 200


def test_slow_heads_and_bodies_are_ended_and_hold_up_nobody(start: Any) -> None:
    server = start(SERINUS_REQUEST_TIMEOUT="1", SERINUS_MAX_CONCURRENCY="64")
    server.until_ready()
    slow_heads = [connect(server.url) for _ in range(100)]
    slow_bodies = [connect(server.url) for _ in range(50)]
    for number, one in enumerate(slow_heads):
        one.sendall(b"POST /predict HTTP/1.1\r\nx-slow: "[: 5 + number % 30])
    for one in slow_bodies:
        one.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n[")
    assert httpx2.post(f"{server.url}/invocations", json=QUICK).status_code == 200
    judge(probe(server.url, 20))
    for expected, sockets in ((b"HTTP/1.1 400", slow_heads), (b"HTTP/1.1 408", slow_bodies)):
        for one in sockets:
            answer = one.recv(4096)
            assert answer.startswith(expected), answer
            one.close()


def series(url: str) -> set[str]:
    text = httpx2.get(url + contract.PATH_METRICS).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def answer_to(connection: socket.socket) -> bytes:
    """The head of the next answer, after reading its body; empty at the connection's end."""
    found = b""
    while b"\r\n\r\n" not in found:
        more = connection.recv(65536)
        if not more:
            return b""
        found += more
    head, _, body = found.lower().partition(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head


def test_ten_thousand_odd_requests_add_no_series_and_no_memory(start: Any) -> None:
    server = start()
    server.until_ready()
    chance = random.Random(1)  # noqa: S311 - no secret
    bodies = (b"{", b"", b'{"inputs": [[0.0, 3.0]]}', b"[[0.0]]", b"\xff\x00", b"[NaN]")

    def some(first: int, requests: int) -> set[bytes]:
        statuses = set()
        connection = connect(server.url)
        for number in range(first, first + requests):
            path = chance.choice(
                ("/predict", "/invocations", f"/v2/models/m{number}/infer", f"/x{number}",
                 f"/v2/models/churn/versions/{number}/infer", f"/predict?{number}", "/%70redict")
            )  # fmt: skip
            body = chance.choice(bodies)
            media = chance.choice(("application/json", f"text/x{number}"))
            connection.sendall(
                f"{chance.choice(('POST', 'POST', 'GET', 'PUT'))} {path} HTTP/1.1\r\nhost: x\r\n"
                f"x-request-id: id-{number}\r\ncontent-type: {media}\r\n"
                f"content-length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = answer_to(connection)
            statuses.add(head[9:12])
            if not head or b"connection: close" in head:
                connection.close()
                connection = connect(server.url)
        connection.close()
        return statuses

    some(0, 1000)
    before, memory = series(server.url), resident_kib(server.process.pid)
    assert some(1000, 10_000) >= {b"200", b"400", b"404", b"405", b"422"}
    assert series(server.url) == before
    assert resident_kib(server.process.pid) < memory + 4096


def ask(connection: socket.socket) -> bytes:
    connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    return connection.recv(4096)


def test_idle_connections_make_room_for_new_ones(start: Any) -> None:
    server = start(SERINUS_MAX_CONNECTIONS="160", SERINUS_REQUEST_TIMEOUT="30")
    server.until_ready()
    begun = [connect(server.url) for _ in range(20)]
    for one in begun:  # they have a request: its body is on its way
        one.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 24\r\n\r\n{")
    judge(probe(server.url, 1))  # all of them are read when this is answered
    idle = [connect(server.url) for _ in range(600)]
    half = [connect(server.url) for _ in range(200)]
    for one in half:
        one.sendall(b"GET / HTTP/1.1\r\nx: ")
    judge(probe(server.url, 20))
    answer = httpx2.post(f"{server.url}/invocations", json=QUICK)
    assert answer.status_code == 200
    for one in begun:
        one.sendall(b'"inputs": [[0.0, 3.0]]}')
        assert one.recv(4096).startswith(b"HTTP/1.1 200")
    assert idle[0].recv(1) == b""
    for one in (*begun, *idle, *half):
        one.close()
    told = [json.loads(line) for line in server.log if "too many connections" in line]
    assert 1 <= len(told) <= 3
    assert told[0]["most"] == 160


def test_without_file_descriptors_it_neither_spins_nor_dies_and_recovers(start: Any) -> None:
    server = start()
    server.until_ready()
    pid = server.process.pid
    kept = connect(server.url)
    assert ask(kept).startswith(b"HTTP/1.1 200")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    few = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 30
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, hard))
    taken = [connect(server.url) for _ in range(100)]
    assert ask(kept).startswith(b"HTTP/1.1 200")
    refused = taken[-1]
    with contextlib.suppress(ConnectionError):  # at once, and not left to wait
        assert ask(refused) == b""
    before = cpu_seconds(pid)
    threading.Event().wait(1.0)  # the time in which it could spin
    assert cpu_seconds(pid) - before < 0.3
    assert server.process.poll() is None
    for one in taken:
        one.close()
    deadline = time.monotonic() + 10
    while not recovered(server.url):
        assert time.monotonic() < deadline
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert httpx2.post(f"{server.url}/invocations", json=QUICK).status_code == 200
    kept.close()
    assert not any("Traceback" in line for line in server.log), server.log


def recovered(url: str) -> bool:
    try:
        return bool(httpx2.get(url + contract.PATH_LIVE).status_code == 200)
    except httpx2.TransportError:
        return False


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
