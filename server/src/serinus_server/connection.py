"""Keeps connections from being held open for nothing: a request's head must come, soon and small.

uvicorn limits neither; a client could hold a connection for ever with a header per minute, or
fill the memory with one header. Bodies have their limits in the prediction endpoint.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which refuses heads (request line and headers) that do not arrive
    within ``head_timeout`` seconds of their first byte, or within MAX_HEAD_BYTES.
    """

    head_timeout = 10.0
    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A connection that never sends anything is idle, as one between two requests is.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:  # all of ``data`` belongs to the same head
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head("large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_timer = self.loop.call_later(self.head_timeout, self._refuse_head, "slow")

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def _end_head(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self, why: str) -> None:
        self._end_head()
        if not self.transport.is_closing():
            self.send_400_response(f"The request's head is too {why}.")


def guarded_protocol(head_timeout: float) -> type[GuardedProtocol]:
    """The protocol with a ``head_timeout`` in seconds; uvicorn wants a class."""
    return type("GuardedProtocol", (GuardedProtocol,), {"head_timeout": head_timeout})
