"""What is known of a request when it has ended; nothing of what it asked or was answered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")

Headers = Iterable[tuple[bytes, bytes]]


class ModelCall:
    """One call of the model, for one request or for several. Times are of ``perf_counter``."""

    __slots__ = ("begin", "end", "requests", "rows", "span")

    def __init__(self, begin: float, end: float, rows: int, requests: int) -> None:
        self.begin = begin
        self.end = end
        self.rows = rows
        self.requests = requests
        self.span: object = None  # the tracer's, of the first of the requests that is traced


class Seen(NamedTuple):
    """One prediction request that has ended."""

    protocol: str
    code: int | str  # HTTP status, or the name of a gRPC code; 499: the client was gone
    failed: bool  # whether that was the server's fault
    begin: float  # of ``perf_counter``
    seconds: float
    rows: int = 0  # 0: it was refused before they were counted
    call: ModelCall | None = None
    request_id: str = ""
    headers: Headers = ()
    error: str = ""


def clean_request_id(value: bytes) -> bytes:
    """``value``, if it is fit to be logged and sent back: up to 128 visible characters. Else nothing."""
    return value if _REQUEST_ID.fullmatch(value) else b""


def trace_id(headers: Headers) -> str:
    """The trace that the request belongs to, from W3C's ``traceparent``; empty without one."""
    for name, value in headers:
        if name == b"traceparent" and (found := _TRACE.fullmatch(value)):
            return found[1].decode()
    return ""
