"""Starts and stops the servers that are compared, each with its processes on the servers' core."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.dialects import Dialect
from bench.load.job import Exchange
from bench.peers.catalog import LIMIT, Launch, Peer
from bench.proc import members, pinned
from bench.questions import Model, Question

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0
_ANSWER_SECONDS = 10.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.01

# For all: one thread for arithmetic, and nobody outside is told what is done here.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


class BenchError(RuntimeError):
    """A server cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server that gave its first answer ``start_seconds`` after its start."""

    peer: Peer
    pid: int
    port: int
    grpc_port: int
    start_seconds: float

    def ask(self, dialect: Dialect, question: Question) -> Exchange:
        """A request with its answer, which is exactly that of ``mlflow.pyfunc``.

        Raises:
            BenchError: it is not, or there is none.
        """
        body = dialect.encode(question.rows)
        try:
            status, answer = _post(self.port, dialect.path, body)
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"no answer: {error}") from None
        if status != 200:
            raise BenchError(f"answers with {status}: {answer[:300]!r}")
        # The limit has no model: zeros instead of predictions.
        right = question.answer if self.peer.name != LIMIT else [0] * len(question.rows)
        try:
            found = dialect.decode(answer)
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(f"answers something else: {error!r}: {answer[:300]!r}") from None
        if found != right:
            raise BenchError(f"answers other numbers than mlflow.pyfunc: {answer[:300]!r}")
        return Exchange(body, answer)


@contextlib.contextmanager
def running(
    peer: Peer, programs: Path, model: Model, dialect: Dialect, core: int
) -> Iterator[Server]:
    """The server with the model, stopped with all its processes at the end of the block.

    ``dialect`` is how its first answer is asked for.

    Raises:
        BenchError: it does not start.
    """
    ports = _free_ports(3)
    with tempfile.TemporaryDirectory(prefix=f"serinus-bench-{peer.name}-") as work:
        command = peer.launch(Launch(programs, model, Path(work), *ports))
        log = Path(work) / "output.log"
        with log.open("wb") as output, pinned(core):
            begin = time.perf_counter()
            process = subprocess.Popen(  # noqa: S603 - a peer's own command
                list(command.arguments),
                env={**_inherited(programs), **_ENVIRONMENT, **command.environ},
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Where Linux shares a busy core between sessions (autogroup), a server with more
                # threads must not get more of it. It also keeps Ctrl-C for us, who stop it then.
                start_new_session=True,
            )
        try:
            body = dialect.encode(model.single[0].rows)
            _await_answer(process, ports[0], dialect.path, body, log)
            started = time.perf_counter() - begin
            yield Server(peer, process.pid, ports[0], ports[1], started)
        finally:
            _stop(process)


def _inherited(programs: Path) -> dict[str, str]:
    """Our variables without those of our own environment, the peer's programs first."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return {**kept, "PATH": f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}"}


def _await_answer(
    process: subprocess.Popen[bytes], port: int, path: str, body: bytes, log: Path
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    last = "nothing"
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, answer = _post(port, path, body)
            if status == 200:
                return
            last = f"{status}: {answer[:200]!r}"
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-1500:]
            code = process.poll()
            state = "still runs" if code is None else f"ended with code {code}"
            raise BenchError(f"does not start: it {state}, last answer {last}; its output:\n{tail}")
        time.sleep(_POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and all its processes; what does not go by itself is killed."""
    everyone = members(process.pid)
    for pid in everyone:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while everyone and time.monotonic() < deadline:
        process.poll()
        everyone = {pid for pid in everyone if Path(f"/proc/{pid}").exists()}
        everyone |= members(process.pid)
        time.sleep(_POLL_SECONDS)
    for pid in everyone:
        _signal(pid, signal.SIGKILL)
    process.wait()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _post(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
