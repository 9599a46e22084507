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
from serinus_server.unread import Unread

MAX_HEAD_BYTES = 64 * 1024

# Seconds in which a client may go on sending what will not be read, so that it comes to read the
# answer: closing a connection with unread bytes would take the answer back.
_LINGER_SECONDS = 2.0
_INVALID = "Invalid HTTP request received."
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with the lane, and with limits of time and size on requests.

    Heads (request line and headers) must arrive within ``patience`` seconds of their first byte and
    within MAX_HEAD_BYTES, and bodies within ``patience`` of their heads.
    """

    patience = 10.0
    lanes = Lanes({})
    crowd = Crowd(4096)
    unread = Unread()

    _in_head = False
    _in_body = False
    _wants_upgrade = False
    _head_bytes = 0
    _arrival_timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    _lingering = False
    _blocked = False  # whether the next request waits for the client to read its responses
    _unanswered = 0  # requests, of which all but one wait in the pipeline
    _reading: Any = None  # the cycle of the request whose body is being read
    _bytes_without_body = 0  # in a row: trailers and the extensions of chunks
    _refusal = ""  # what is to be said after the answers to the requests ahead, as the last thing
    _unread = (0.0, 0)  # what the client had not read when that was last looked at
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

    def give_up(self) -> None:
        """End the connection, whose client does not read what waits in it."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.unread.remove(self)
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
        if self._lingering or self._refusal:
            return
        was_in_head = self._in_head
        if self._in_body:
            self._bytes_without_body += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrades(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(_INVALID)
            return
        # Timers cost more than most requests, which come in one piece.
        if self._in_head:
            if was_in_head:  # all of ``data`` belongs to the same head
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse("The request's head is too large.")
                    return
            self._await_arrival()
        elif self._in_body:
            if self._bytes_without_body > MAX_HEAD_BYTES:
                self._refuse("The request's trailers are too large.")
                return
            self._await_arrival()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more, but may still read: whether an answer is to come.

        A client that has closed its connection for good looks the same, until it is written to.
        """
        reading = self._reading
        if reading is not None and not reading.response_complete:
            self._refuse("The request's body is incomplete.")
        elif self.cycle is not None and not self._refusal:
            self.cycle.keep_alive = False  # it is the last one
        return self._unanswered > 0 and not self._lingering

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
        if unread := self.transport.get_write_buffer_size():
            # Closing would wait for the client to read. Between two answers, unread bytes only go.
            before, self._unread = self._unread, (self._idle_since, unread)
            if before == self._unread:
                self.transport.abort()
            else:
                self._idle_timer = self.loop.call_later(
                    self.timeout_keep_alive, self._close_if_idle
                )
            return
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
            if self.flow.read_paused:  # by us
                self._await_arrival()
            else:
                self._refuse("The request's head is too slow.")
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

    def _refuse(self, why: str) -> None:
        """The bytes are no request: say so, but after the answers to the requests ahead."""
        self._in_head = self._in_body = False
        self._end_arrival()
        if self._refusal or self._lingering or self.transport.is_closing():
            return
        broken = self._reading
        self._reading = None
        if broken is not None:
            if broken.response_complete:  # early
                self.linger()
                return
            self._unanswered -= 1
            if self.pipeline and self.pipeline[0][0] is broken:
                self.pipeline.popleft()
            elif (active := self._active) is not None and broken is active:
                self._active = None
                active.leave()
            elif type(broken) is not LaneCall:
                broken.disconnected = True
                broken.message_event.set()
        self._refusal = why
        if not self._unanswered:
            self.send_400_response(why)

    def send_400_response(self, msg: str) -> None:
        """Differs from uvicorn's: the client can read it, though it may be sending still."""
        head = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        text = msg.encode("ascii")
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n%bcontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (head, len(text), text)
        )
        self.linger()

    # --- what the parser finds -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        # uvicorn's own makes the scope here, which the lane has no use for: see `_use_asgi`.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._in_body = False
        self._reading = None
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer; taken for a header, it would be a way around those who check headers
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        self._bytes_without_body = 0
        self._end_arrival()
        if self._lingering or self.transport.is_closing():
            return
        parser = self.parser
        self._wants_upgrade = parser.should_upgrade() and parser.get_method() != b"CONNECT"
        if self._wants_upgrade:
            return  # the parser stops here, see `_pass_over_upgrades`
        is_old = parser.get_http_version() == "1.0"
        if is_old:
            self.expect_100_continue = False  # RFC 9110, 10.1.1: its clients know of no 100
        endpoint = self.lanes.endpoints.get(self.url)
        if endpoint is None or parser.get_method() != b"POST":
            self._use_asgi()
            return
        call: Any = LaneCall(
            endpoint,
            self,
            self.headers,
            keep_alive=parser.should_keep_alive() and not is_old,
            expects_continue=self.expect_100_continue,
        )
        before = self.cycle
        self.cycle = self._reading = call
        self._unanswered += 1
        is_next = before is None or before.response_complete
        if is_next and not self.flow.write_paused:
            self._active = call
            call.begin()
        else:
            self._blocked = self._blocked or is_next
            self.flow.pause_reading()
            self.pipeline.appendleft((call, self.app))

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        cycle = self._reading
        if type(cycle) is LaneCall:
            cycle.feed(body)
        elif cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._end_arrival()
        if self._wants_upgrade:
            return
        cycle, self._reading = self._reading, None
        if type(cycle) is LaneCall:
            cycle.complete()
        elif cycle is not None:
            super().on_message_complete()

    def _pass_over_upgrades(self, rest: memoryview) -> None:
        """Parse requests anew without their wish for another protocol, which nobody has to grant.

        The parser takes all that follows such a wish for the other protocol. Java's own client
        wishes for HTTP/2 with the first request of every connection.
        """
        while self._wants_upgrade:
            try:
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                # As uvicorn has it.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError:
                break
            else:
                return
        self._refuse(_INVALID)  # or a tunnel is wished for

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                kept = b", ".join(t for t in tokens if t.lower() not in _UPGRADE_HEADERS)
                lines.append(b"connection: %b\r\n" % kept)
            elif name not in _UPGRADE_HEADERS:
                lines.append(b"%b: %b\r\n" % (name, value))
        return b"".join([*lines, b"\r\n"])

    def _use_asgi(self) -> None:
        url, headers, expects_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects_continue
        self.headers = self.scope["headers"] = headers
        before = self.cycle
        if before is None or before.response_complete:
            self._blocked = False  # it waits by itself, and it is what the next one waits for
        super().on_headers_complete()
        self._reading = self.cycle
        self._unanswered += 1
        if expects_continue:  # answered early, nobody would know whether the body still comes
            self.cycle.keep_alive = False

    # --- responses -----------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """The next request's turn. Differs from uvicorn's: no timer, and no new reading while
        requests wait, or while the client does not read its responses.
        """
        self.server_state.total_requests += 1
        self._active = None
        self._unanswered -= 1
        self._idle_since = self.loop.time()
        if self.transport.is_closing() or self._lingering:
            return
        if self._refusal and not self._unanswered:
            self.send_400_response(self._refusal)
            return
        if self.flow.write_paused:
            self._blocked = True
        else:
            self._next()

    def pause_writing(self) -> None:
        super().pause_writing()
        # Nothing more is written until it resumes: this is all that waits.
        self.unread.add(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self.unread.remove(self)
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
    settings = {
        "patience": patience,
        "lanes": lanes,
        "crowd": crowd or GuardedProtocol.crowd,
        "unread": Unread(),
    }
    return type("GuardedProtocol", (GuardedProtocol,), settings)
