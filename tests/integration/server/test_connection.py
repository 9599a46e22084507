"""Connections that are held open for nothing are closed, and the others never notice."""

from __future__ import annotations

import socket
import time
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest

from serinus_server import contract
from serinus_server.connection import MAX_HEAD_BYTES


def connect(server: Any) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def read_response(connection: socket.socket) -> bytes:
    """One whole response: a head and its body may come in several pieces, too."""
    response = HTTPResponse(connection)
    response.begin()
    return b"%d " % response.status + response.read()


@pytest.fixture
def server(start: Any) -> Any:
    return start(SERINUS_REQUEST_TIMEOUT="2")


def test_heads_must_come_soon_and_small_and_health_is_answered_meanwhile(server: Any) -> None:
    slow = [connect(server) for _ in range(50)]
    begin = time.monotonic()
    for connection in slow:
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\nx-slow: ")
    assert server.status(contract.PATH_LIVE) == 200
    for connection in slow:
        answer = read_to_end(connection)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.endswith(b"too slow.")
        connection.close()
    assert time.monotonic() - begin >= 2

    with connect(server) as large:
        large.sendall(b"GET /v2 HTTP/1.1\r\nx-large: ")
        # More than one read takes: what comes with a head's beginning is not counted.
        large.sendall(b"a" * (16 * MAX_HEAD_BYTES))
        assert read_to_end(large).endswith(b"too large.")
    assert server.status(contract.PATH_LIVE) == 200

    # One connection, two requests, the second in pieces: as ordinary clients may do.
    with connect(server) as good:
        request = f"GET {contract.PATH_LIVE} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
        for pieces in ([request], [request[:9], request[9:20], request[20:]]):
            for piece in pieces:
                good.sendall(piece)
            assert read_response(good) == b'200 {"live":true}'
