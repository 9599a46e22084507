"""A tiny server for pods of the tests: answers with its name, slowly if asked, ends politely.

Run as ``python stand_in.py PORT``. Environment: NAME is what it answers, SERINUS_HOST where it
listens.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        time.sleep(float(query.get("sleep", ["0"])[0]))
        if self.path.startswith("/metrics"):
            self._answer(b"stand_in_up 1\n")
        else:
            self._answer(os.environ.get("NAME", "").encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        if stopping.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for what is in flight
    request_queue_size = 128


stopping = threading.Event()
Handler.timeout = 5
server = Server((os.environ["SERINUS_HOST"], int(sys.argv[1])), Handler)


def stop(*_: object) -> None:
    """Serve on for a moment, as a model server does while it is taken out of rotation."""

    def drain() -> None:
        time.sleep(0.5)
        stopping.set()
        time.sleep(0.5)
        server.shutdown()

    threading.Thread(target=drain).start()


signal.signal(signal.SIGTERM, stop)
sys.stdout.write("serving\n")
sys.stdout.flush()
server.serve_forever(poll_interval=0.05)
server.server_close()
