"""A web server on loopback that fails in the ways that servers and networks do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request by the next step of the script, the last one again and again."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append((self.path, dict(self.headers)))
        step = site.script[min(len(site.requests), len(site.script)) - 1]
        step(self)

    def begin(self, status: int, length: int | None = None, **headers: str) -> None:
        """Send the status and headers, with ``_`` for ``-``."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def hang_up(self) -> None:
        """Close the connection as a crash would."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None: ...


@dataclass
class Site:
    """What is served and how; ``requests`` are paths and headers."""

    content: bytes
    script: list[Answer]
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(content: bytes, *script: Answer) -> Iterator[Site]:
    """Serve ``content`` by ``script``."""
    site = Site(content, list(script))
    handler = type("ScriptedHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}/models/churn.tar.gz"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def whole(handler: Handler, tag: str | None = '"v1"') -> None:
    """Everything, or what is asked for of it."""
    content = handler.site.content
    asked = handler.headers.get("Range")
    named = {"ETag": tag} if tag else {}
    if asked and handler.headers.get("If-Range") == tag:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.begin(206, len(content) - start, Content_Range=told, **named)
        handler.wfile.write(content[start:])
        return
    handler.begin(200, len(content), **named)
    handler.wfile.write(content)


def cut(after: int, tag: str | None = '"v1"') -> Answer:
    """The first ``after`` bytes of everything, then the connection breaks."""

    def answer(handler: Handler) -> None:
        handler.begin(200, len(handler.site.content), **({"ETag": tag} if tag else {}))
        handler.wfile.write(handler.site.content[:after])
        handler.hang_up()

    return answer


def ignoring_ranges(handler: Handler) -> None:
    """Everything, whatever was asked for."""
    handler.begin(200, len(handler.site.content))
    handler.wfile.write(handler.site.content)


def status(code: int, **headers: str) -> Answer:
    """An error."""
    return lambda handler: handler.begin(code, 0, **headers)


def chunked(complete: bool) -> Answer:
    """In chunks without a length; not ``complete``: the last one never comes."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Transfer_Encoding="chunked")
        content = handler.site.content
        handler.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        if complete:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.hang_up()

    return answer


def unmeasured(handler: Handler) -> None:
    """As old servers do: the end of the connection is the end of the file."""
    handler.begin(200, Connection="close")
    handler.wfile.write(handler.site.content)
    handler.close_connection = True


def stalled(after: int) -> Answer:
    """The first bytes, and then nothing for as long as the client waits."""

    def answer(handler: Handler) -> None:
        handler.begin(200, len(handler.site.content), ETag='"v1"')
        handler.wfile.write(handler.site.content[:after])
        handler.wfile.flush()
        handler.site.released.wait(20)
        handler.hang_up()

    return answer


def endless(handler: Handler) -> None:
    """Chunks for ever."""
    handler.begin(200, Transfer_Encoding="chunked")
    try:
        while not handler.site.released.is_set():
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
    except OSError:
        handler.close_connection = True
