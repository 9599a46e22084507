"""A process of its own that watches servers under attack: ``python watch.py VICTIM BYSTANDER``.

The arguments are ports. Until its standard input ends, it asks both servers for their health in turns,
each time on a new connection as a kubelet does, and the victim for a prediction, on a
connection that it keeps as a good client does. It prints what it sees, one JSON list each:
``[kind, when, seconds, problem]``, where ``when`` is the monotonic clock's time, and ``problem`` is
empty for a right answer. Standard library only, so that it starts at once and is disturbed by nothing.
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import time
from collections.abc import Callable

HEALTH, BYSTANDER, PREDICTION = "health", "bystander", "prediction"
PAUSE = 0.004  # seconds between two questions
PATIENCE = 30  # seconds, after which an answer counts as missing
VALUE = 21.0
_BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [0.0, VALUE]}]}
)
_ENOUGH = 1e-6


def _health(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/v2/health/ready")
        response = connection.getresponse()
        response.read()
        return "" if response.status == 200 else f"status {response.status}"
    finally:
        connection.close()


class _Customer:
    """Asks for predictions on one connection; a new one only where the server closed it idle."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> str:
        if self._connection is not None:
            try:
                return self._ask(self._connection)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self._connection.close()
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        return self._ask(self._connection)

    @staticmethod
    def _ask(connection: http.client.HTTPConnection) -> str:
        connection.request(
            "POST", "/v2/models/churn/infer", _BODY, {"content-type": "application/json"}
        )
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            return f"status {response.status}: {body.decode(errors='replace')[:200]}"
        (value,) = json.loads(body)["outputs"][0]["data"]
        return "" if abs(value - 2 * VALUE) < _ENOUGH else f"wrong value {value}"


def _look(kind: str, ask: Callable[[], str]) -> None:
    begin = time.monotonic()
    try:
        problem = ask()
    except (OSError, http.client.HTTPException) as error:
        problem = repr(error)
    sys.stdout.write(json.dumps((kind, begin, time.monotonic() - begin, problem)) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Watch until standard input ends."""
    victim, bystander = int(sys.argv[1]), int(sys.argv[2])
    customer = _Customer(victim)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        _look(HEALTH, lambda: _health(victim))
        _look(BYSTANDER, lambda: _health(bystander))
        _look(PREDICTION, customer.ask)


if __name__ == "__main__":
    main()
