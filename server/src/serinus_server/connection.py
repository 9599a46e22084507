"""The server's side of a connection: a fast lane for predictions, and no holding it for nothing.

uvicorn parses HTTP and drives the ASGI application. Two things are different here:

- POSTs to the known prediction paths go to their endpoint directly (``LaneCall``), without the
  scope, the routing and the task that ASGI needs for each request, which cost more than a model.
- uvicorn limits neither the time nor the size of a request's head, and not the time of its body: a
  client could hold a connection for ever with a byte per minute, or fill the memory with one header.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serinus_server.errors import BodyTimeout, RequestTooLarge
from serinus_server.protocols.codec import JSON_HEADERS
from serinus_server.protocols.endpoint import Call, Headers, PredictionEndpoint

MAX_HEAD_BYTES = 64 * 1024

# Seconds in which a client may go on sending what will not be read, so that it comes to read the
# answer: closing a connection with unread bytes would take the answer back.
_LINGER_SECONDS = 2.0
_NO_PATH: Mapping[str, str] = {}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class LaneCall(Call):
    """A prediction request that needs no ASGI; has what uvicorn's protocol asks of a cycle."""

    __slots__ = (
        "_body", "_connection", "_expects_continue", "_headers", "_size", "_started",
        "keep_alive", "more_body",
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
            or self.endpoint.inference.draining
            or (self._expects_continue and self.more_body)  # nobody knows whether the body comes
        ):
            self.keep_alive = False
            headers = (*headers, (b"connection", b"close"))
        transport.write(connection.head(self.endpoint, status, headers, len(body)) + body)
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


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with the lane, and with limits of time and size on requests.

    Heads (request line and headers) must arrive within ``patience`` seconds of their first byte and
    within MAX_HEAD_BYTES, and bodies within ``patience`` of their heads.
    """

    patience = 10.0
    lanes: Mapping[bytes, PredictionEndpoint] = {}
    heads: dict[tuple[PredictionEndpoint, int, Headers], bytes]

    _in_head = False
    _in_body = False
    _head_bytes = 0
    _arrival_timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    _lingering = False
    _blocked = False  # whether the next request waits for the client to read its responses
    _active: LaneCall | None = None
    _idle_since = 0.0

    # --- the connection's life -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A connection that never sends anything is idle, as one between two requests is.
        self._idle_since = self.loop.time()
        self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_arrival()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._in_head = self._in_body = False
        self.pipeline.clear()
        active = self._active
        self._active = None
        cycle: Any = self.cycle
        if type(cycle) is LaneCall:
            self.cycle = None  # type: ignore[assignment]  # its class allows it, its annotation not
        super().connection_lost(exc)
        if active is not None:
            active.leave()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        was_in_head = self._in_head
        super().data_received(data)
        # Timers cost more than most requests, which come in one piece.
        if self._in_head:
            if was_in_head:  # all of ``data`` belongs to the same head
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse_head("large")
                    return
            if self._arrival_timer is None:
                self._arrival_timer = self.loop.call_later(self.patience, self._late)
        elif self._in_body and self._arrival_timer is None:
            self._arrival_timer = self.loop.call_later(self.patience, self._late)

    def linger(self) -> None:
        """Read nothing more, but let the client finish sending; then close."""
        if not self._lingering:
            self._lingering = True
            self._end_arrival()
            self.flow.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._arrival_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _close_if_idle(self) -> None:
        """One timer for all the idle times of a connection; a request only notes when it ended."""
        idle = self.cycle is None or self.cycle.response_complete
        idle = idle and not (self._in_head or self._in_body or self._lingering)
        rest = self._idle_since + self.timeout_keep_alive - self.loop.time() if idle else 0.0
        if idle and rest <= 0:
            self.transport.close()
            return
        self._idle_timer = self.loop.call_later(
            rest if idle else self.timeout_keep_alive, self._close_if_idle
        )

    def _late(self) -> None:
        self._arrival_timer = None
        cycle: Any = self.cycle
        if self._in_head:
            self._refuse_head("slow")
        elif type(cycle) is LaneCall:
            cycle.body_is_late()
        elif cycle is not None and cycle.response_complete:
            self.transport.abort()

    def _end_arrival(self) -> None:
        if self._arrival_timer is not None:
            self._arrival_timer.cancel()
            self._arrival_timer = None

    def _refuse_head(self, why: str) -> None:
        self._in_head = False
        self._end_arrival()
        if not self.transport.is_closing():
            self.send_400_response(f"The request's head is too {why}.")

    # --- what the parser finds -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        # uvicorn's own makes the scope here, which the lane has no use for: see `_use_asgi`.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        self._end_arrival()
        parser = self.parser
        endpoint = self.lanes.get(self.url)
        if endpoint is None or parser.get_method() != b"POST" or parser.should_upgrade():
            self._use_asgi()
            return
        call: Any = LaneCall(
            endpoint,
            self,
            self.headers,
            keep_alive=parser.should_keep_alive() and parser.get_http_version() != "1.0",
            expects_continue=self.expect_100_continue,
        )
        before = self.cycle
        self.cycle = call
        if before is None or before.response_complete:
            self._active = call
            call.begin()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((call, self.app))

    def on_body(self, body: bytes) -> None:
        cycle: Any = self.cycle
        if type(cycle) is LaneCall:
            cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._end_arrival()
        cycle: Any = self.cycle
        if type(cycle) is LaneCall:
            cycle.complete()
        else:
            super().on_message_complete()

    def _use_asgi(self) -> None:
        url, headers, expects_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects_continue
        self.headers = self.scope["headers"] = headers
        super().on_headers_complete()

    # --- responses -----------------------------------------------------------------------------

    def head(
        self, endpoint: PredictionEndpoint, status: int, headers: Headers, length: int
    ) -> bytes:
        """A response's head: status line, headers and the empty line."""
        key = (endpoint, status, headers)
        prefix = self.heads.get(key)
        if prefix is None:
            lines = [b"%b: %b\r\n" % header for header in (*endpoint.headers, *headers)]
            prefix = STATUS_LINE[status] + b"".join(lines) + b"content-length: "
            if headers[: len(JSON_HEADERS)] == JSON_HEADERS:  # others vary without end
                self.heads[key] = prefix
        date = self.server_state.default_headers
        return b"%b%d\r\n%b\r\n" % (
            prefix, length, b"".join([b"%b: %b\r\n" % header for header in date])
        )  # fmt: skip

    def on_response_complete(self) -> None:
        """The next request's turn. Differs from uvicorn's: no timer, and no new reading while
        requests wait, or while the client does not read its responses.
        """
        self.server_state.total_requests += 1
        self._active = None
        self._idle_since = self.loop.time()
        if self.transport.is_closing() or self._lingering:
            return
        if self.flow.write_paused:
            self._blocked = True
        else:
            self._next()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._blocked:
            self._blocked = False
            self._next()

    def _next(self) -> None:
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            # Later, or a thousand bad requests in one packet would call each other.
            self.loop.call_soon(self._start_asgi_task, cycle, app)
        if not self.pipeline:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if type(cycle) is LaneCall:
            if not self.transport.is_closing():
                self._active = cycle
                cycle.begin()
        else:
            super()._start_asgi_task(cycle, app)


def guarded_protocol(
    patience: float, lanes: Mapping[bytes, PredictionEndpoint]
) -> type[GuardedProtocol]:
    """The protocol with its settings; uvicorn wants a class."""
    return type(
        "GuardedProtocol", (GuardedProtocol,), {"patience": patience, "lanes": lanes, "heads": {}}
    )
