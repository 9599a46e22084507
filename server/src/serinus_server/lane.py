"""The fast lane: prediction requests that go from their connection to their endpoint directly.

ASGI's scope, its routing and a task for each request cost more than most models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serinus_server.errors import BodyTimeout, RequestTooLarge
from serinus_server.protocols.codec import JSON_HEADERS
from serinus_server.protocols.endpoint import Call, Headers, PredictionEndpoint

if TYPE_CHECKING:
    from serinus_server.connection import GuardedProtocol

_NO_PATH: Mapping[str, str] = {}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = (b"connection", b"close")


class Lanes:
    """The endpoints by their paths, as clients write them, and the heads of their responses."""

    def __init__(self, endpoints: Mapping[bytes, PredictionEndpoint]) -> None:
        self.endpoints = endpoints
        self._prefixes: dict[tuple[PredictionEndpoint, int, Headers], bytes] = {}
        self._date_headers: list[tuple[bytes, bytes]] = []  # of which `_date` was made
        self._date = b"\r\n\r\n"

    def head(
        self,
        endpoint: PredictionEndpoint,
        status: int,
        headers: Headers,
        length: int,
        date_headers: list[tuple[bytes, bytes]],
        request_id: bytes = b"",
    ) -> bytes:
        """A response's status line and headers, and the empty line.

        ``date_headers`` are uvicorn's, which makes a new list of them every second.
        """
        prefix = self._prefixes.get((endpoint, status, headers))
        if prefix is None:
            prefix = STATUS_LINE[status] + _lines((*endpoint.headers, *headers))
            prefix += b"content-length: "
            if headers[:1] == JSON_HEADERS:  # few variants; others may have a new value each time
                self._prefixes[endpoint, status, headers] = prefix
        if date_headers is not self._date_headers:
            self._date_headers = date_headers
            self._date = b"\r\n%b\r\n" % _lines(date_headers)
        if request_id:  # as many as requests: never a part of the prefix, which is kept
            return b"%b%d\r\nx-request-id: %b%b" % (prefix, length, request_id, self._date)
        return b"%b%d%b" % (prefix, length, self._date)


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class LaneCall(Call):
    """A prediction request that needs no ASGI; has what uvicorn's protocol asks of a cycle."""

    __slots__ = (
        "_body", "_connection", "_expects_continue", "_size", "_started", "keep_alive", "more_body",
    )  # fmt: skip

    def __init__(
        self,
        endpoint: PredictionEndpoint,
        connection: GuardedProtocol,
        headers: list[tuple[bytes, bytes]],
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        super().__init__(endpoint, _NO_PATH)
        self.keep_alive = keep_alive
        self.more_body = True
        self._connection = connection
        self._headers = headers
        self._expects_continue = expects_continue
        self._started = False
        self._body: bytes | bytearray = b""
        self._size = 0

    @property
    def response_complete(self) -> bool:
        return self.over

    def begin(self) -> None:
        """It is this request's turn on the connection."""
        self._started = True
        self.start(self._headers, self._connection.loop.time())
        if self.over:
            return
        if not self.more_body:
            self._ask_whole()
        elif self._size > self.endpoint.limits.max_bytes:
            self.fail(RequestTooLarge(self.endpoint.limits.max_bytes))
        elif self._expects_continue:
            self._connection.transport.write(_CONTINUE)

    def feed(self, data: bytes) -> None:
        """A part of the body has come."""
        self._size += len(data)
        limit = self.endpoint.limits.max_bytes
        if self._size > limit:
            self._body = b""
            if self.over:  # answered early, and the client sends on for too long
                self._connection.linger()
            elif self._started:
                self.fail(RequestTooLarge(limit))
        elif self.over:
            return
        elif not self._body:
            self._body = data
        else:
            if type(self._body) is bytes:
                self._body = bytearray(self._body)
            self._body += data

    def complete(self) -> None:
        """The body has come to its end."""
        self.more_body = False
        if self._started and not self.over:
            self._ask_whole()

    def body_is_late(self) -> None:
        """The body did not come in time."""
        if self.over:
            self._connection.transport.abort()
        elif self._started:
            self.fail(BodyTimeout(self.endpoint.limits.timeout))

    def respond(self, status: int, headers: Headers, body: bytes, *, close: bool) -> None:
        connection = self._connection
        transport = connection.transport
        if transport.is_closing():
            return
        if (
            close
            or not self.keep_alive
            # Closing drops what waits in the pipeline: only its last request may do that.
            or (self.endpoint.inference.draining and not connection.pipeline)
            or (self._expects_continue and self.more_body)  # nobody knows whether the body comes
        ):
            self.keep_alive = False
            headers = (*headers, _CLOSE)
        head = connection.lanes.head(
            self.endpoint,
            status,
            headers,
            len(body),
            connection.server_state.default_headers,
            self.request_id,
        )
        transport.write(head + body)
        if not self.keep_alive:
            if self.more_body:
                connection.linger()
            else:
                transport.close()
        connection.on_response_complete()

    def _ask_whole(self) -> None:
        body = self._body
        if self._size > self.endpoint.limits.max_bytes:
            self.fail(RequestTooLarge(self.endpoint.limits.max_bytes))
            return
        self._body = b""
        self.ask(body if type(body) is bytes else bytes(body))
