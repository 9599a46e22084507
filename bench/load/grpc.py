"""Unary gRPC over HTTP/2, as little of it as a load generator needs.

gRPC's own client costs more per call than a fast server does. Here heads and messages are
prepared, several calls share a connection as those of one channel do, and an answer is right when
its message is, byte by byte. Frames: RFC 9113; heads: RFC 7541, without Huffman coding.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import cast

from bench.load.job import Job
from bench.load.tally import IDLE, Tally

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_HEAD_SIZE = 9
_SPARE_WINDOW = 2**31 - 1
_FIRST_WINDOW = 2**16 - 1
_FIRST_DYNAMIC = 62  # the index of the newest of the entries that a connection has added
_POST, _HTTP = b"\x83", b"\x86"  # ":method: POST" and ":scheme: http" of the static table
_AUTHORITY, _PATH, _CONTENT_TYPE, _NEW_NAME = 1, 4, 31, 0


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def _text(value: bytes) -> bytes:
    return bytes([len(value)]) + value  # all are shorter than 127 bytes


class Messages:
    """A job's requests as HTTP/2 knows them: heads for a connection's first call and for the later
    ones, which refer to what the first one has added to the table, and messages with gRPC's prefix.
    """

    def __init__(self, job: Job) -> None:
        fields = (
            (_PATH, b"", job.path.encode()),
            (_AUTHORITY, b"", f"127.0.0.1:{job.port}".encode()),
            (_CONTENT_TYPE, b"", b"application/grpc"),
            (_NEW_NAME, b"te", b"trailers"),
        )
        self.first_head = _POST + _HTTP
        for index, name, value in fields:
            self.first_head += bytes([0x40 | index]) + (_text(name) if name else b"") + _text(value)
        added = range(_FIRST_DYNAMIC + len(fields) - 1, _FIRST_DYNAMIC - 1, -1)
        self.head = _POST + _HTTP + bytes(0x80 | index for index in added)
        self.requests = [_message(exchange.body) for exchange in job.exchanges]
        self.answers = [_message(exchange.answer) for exchange in job.exchanges]


def _message(content: bytes) -> bytes:
    return struct.pack(">BI", 0, len(content)) + content  # not compressed


class Call:
    """Makes one call at a time, among others on the same connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.turn = IDLE
        self.answer = b""

    def send(self, turn: int) -> None:
        self.turn = turn
        self.answer = b""
        self._channel.open(self)


class Channel(asyncio.Protocol):
    """One connection with so many ``calls``."""

    def __init__(self, messages: Messages, tally: Tally, calls: int) -> None:
        self.calls = [Call(self) for _ in range(calls)]
        self._messages = messages
        self._tally = tally
        self._streams: dict[int, Call] = {}
        self._next_stream = 1
        self._window = _FIRST_WINDOW  # bytes that the server takes at present
        self._waiting: deque[Call] = deque()
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP, always
        # No push; as much data per stream, and on all of them together, as the server likes.
        settings = struct.pack(">HIHI", 2, 0, 4, _SPARE_WINDOW)
        grant = struct.pack(">I", _SPARE_WINDOW - _FIRST_WINDOW)
        self._transport.write(
            _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW, 0, 0, grant)
        )

    def open(self, call: Call) -> None:
        """Send the call's question, at once or when the server takes more."""
        message = self._messages.requests[call.turn]
        if self._waiting or len(message) > self._window:
            self._waiting.append(call)
            return
        self._window -= len(message)
        stream = self._next_stream
        self._next_stream += 2
        self._streams[stream] = call
        head = self._messages.head if stream > 1 else self._messages.first_head
        self._transport.write(
            _frame(_HEADERS, _END_HEADERS, stream, head)
            + _frame(_DATA, _END_STREAM, stream, message)
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        begin = 0
        while len(buffer) - begin >= _HEAD_SIZE:
            size, flags, stream = struct.unpack_from(">IBI", buffer, begin)
            end = begin + _HEAD_SIZE + (size >> 8)
            if end > len(buffer):
                break
            self._take(size & 0xFF, flags, stream, buffer[begin + _HEAD_SIZE : end])
            begin = end
        self._buffer = buffer[begin:]

    def connection_lost(self, exc: Exception | None) -> None:
        for call in self.calls:
            self._tally.lost(call, f"connection lost: {exc}")

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._streams[stream].answer += payload
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            self._answered(self._streams.pop(stream))
        elif kind == _RESET and stream in self._streams:
            self._answered(self._streams.pop(stream), "the server reset the call")
        elif kind == _SETTINGS and not flags & _ACK:
            self._transport.write(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY:
            self._transport.abort()
        elif kind == _WINDOW and stream == 0:
            self._window += int(struct.unpack(">I", payload)[0])
            waiting, self._waiting = self._waiting, deque()
            for call in waiting:
                self.open(call)

    def _answered(self, call: Call, problem: str = "") -> None:
        right = self._messages.answers[call.turn]
        call.turn = IDLE
        if not problem and call.answer != right:
            kind = "wrong answer" if call.answer else "an error status and no answer"
            problem = f"{kind}: {call.answer[:200]!r}"
        self._tally.answered(call, problem)
