"""The server's side of a connection: a fast lane for predictions, and no holding it for nothing.

uvicorn parses HTTP and drives the ASGI application. Two things are different here:

- POSTs to the known prediction paths go to their endpoint directly (``LaneCall``), without the
  scope, the routing and the task that ASGI needs for each request, which cost more than a model.
- uvicorn limits neither the time nor the size of a request's head, and not the time of its body: a
  client could hold a connection for ever with a byte per minute, or fill the memory with one header.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serinus_server.crowd import Crowd
from serinus_server.lane import LaneCall, Lanes

MAX_HEAD_BYTES = 64 * 1024

# Seconds in which a client may go on sending what will not be read, so that it comes to read the
# answer: closing a connection with unread bytes would take the answer back.
_LINGER_SECONDS = 2.0
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with the lane, and with limits of time and size on requests.

    Heads (request line and headers) must arrive within ``patience`` seconds of their first byte and
    within MAX_HEAD_BYTES, and bodies within ``patience`` of their heads.
    """

    patience = 10.0
    lanes = Lanes({})
    crowd = Crowd(4096)

    _in_head = False
    _in_body = False
    _wants_upgrade = False
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
        if len(self.connections) > self.crowd.most:
            self.crowd.make_room(cast("set[GuardedProtocol]", self.connections), self)

    def evictable_since(self) -> float | None:
        """As ``crowd.Connection`` says. A head that is only begun is no request yet."""
        idle = self.cycle is None or self.cycle.response_complete
        if not idle or self._in_body or self._lingering or self.transport.is_closing():
            return None
        return self._idle_since

    def evict(self) -> None:
        """Close the connection, which has no request."""
        self.transport.close()

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
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        # Timers cost more than most requests, which come in one piece.
        if self._in_head:
            if was_in_head:  # all of ``data`` belongs to the same head
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse_head("large")
                    return
            self._await_arrival()
        elif self._in_body:
            self._await_arrival()

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

    def _await_arrival(self) -> None:
        if self._arrival_timer is None:
            self._arrival_timer = self.loop.call_later(self.patience, self._late)

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
        self._wants_upgrade = parser.should_upgrade() and parser.get_method() != b"CONNECT"
        if self._wants_upgrade:
            return  # the parser stops here, see `_pass_over_upgrade`
        endpoint = self.lanes.endpoints.get(self.url)
        if endpoint is None or parser.get_method() != b"POST":
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
        if self._wants_upgrade:
            return
        cycle: Any = self.cycle
        if type(cycle) is LaneCall:
            cycle.complete()
        else:
            super().on_message_complete()

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Parse a request anew without its wish for another protocol, which nobody has to grant.

        The parser takes all that follows such a wish for the other protocol. Java's own client
        wishes for HTTP/2 with the first request of every connection.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                kept = b", ".join(t for t in tokens if t.lower() not in _UPGRADE_HEADERS)
                lines.append(b"connection: %b\r\n" % kept)
            elif name not in _UPGRADE_HEADERS:
                lines.append(b"%b: %b\r\n" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        try:
            self.parser.feed_data(b"".join([*lines, b"\r\n", rest]))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.send_400_response("Invalid HTTP request received.")

    def _use_asgi(self) -> None:
        url, headers, expects_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects_continue
        self.headers = self.scope["headers"] = headers
        super().on_headers_complete()

    # --- responses -----------------------------------------------------------------------------

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
        if self.transport.is_closing():
            return
        if type(cycle) is not LaneCall:
            super()._start_asgi_task(cycle, app)
            return
        self._active = cycle
        cycle.begin()
        if cycle.more_body:  # it may have been late already, while it was not its turn
            self._await_arrival()


def guarded_protocol(
    patience: float, lanes: Lanes, crowd: Crowd | None = None
) -> type[GuardedProtocol]:
    """The protocol with its settings; uvicorn wants a class."""
    settings = {"patience": patience, "lanes": lanes, "crowd": crowd or GuardedProtocol.crowd}
    return type("GuardedProtocol", (GuardedProtocol,), settings)
