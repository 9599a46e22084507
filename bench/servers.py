"""Starts and stops the servers that are compared, each with its processes on the servers' core."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.ask import NoAnswerError, ask
from bench.dialects import Dialect
from bench.load.job import Exchange
from bench.peers.catalog import LIMIT, Launch, Peer
from bench.proc import cpu_seconds, members, pinned
from bench.questions import Model, Question

Process = subprocess.Popen[bytes]

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.01
_FIRST_ANSWER_SECONDS = 0.05  # a server that listens early must not be kept busy by saying so

# For all: one thread for arithmetic, and nobody outside is told what is done here.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


class BenchError(RuntimeError):
    """A server cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server that gave its first answer ``start_seconds`` after its start, for which it
    used ``start_cpu`` seconds of CPU time.
    """

    peer: Peer
    pid: int
    port: int
    grpc_port: int
    start_seconds: float = math.nan
    start_cpu: float = math.nan

    def port_of(self, dialect: Dialect) -> int:
        """Where to ask in this way."""
        return self.grpc_port if dialect.grpc else self.port

    def exchange(self, dialect: Dialect, question: Question) -> Exchange:
        """A request with its answer, which is exactly that of ``mlflow.pyfunc``.

        Raises:
            BenchError: it is not, or there is none.
        """
        body = dialect.encode(question.rows)
        try:
            answer = ask(self.port_of(dialect), dialect, body)
        except NoAnswerError as error:
            raise BenchError(str(error)) from None
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
    peer: Peer,
    programs: Path,
    model: Model,
    dialect: Dialect,
    core: int,
    logs: Path | None = None,
) -> Iterator[Server]:
    """The server with the model, stopped with all its processes at the end of the block.

    ``dialect`` is how its first answer is asked for, ``logs`` a folder for what it prints.

    Raises:
        BenchError: it does not start.
    """
    http, grpc, metrics = _free_ports(3)
    with tempfile.TemporaryDirectory(prefix=f"serinus-bench-{peer.name}-") as work:
        where = Launch(programs, model, Path(work), http, grpc, metrics, dialect.grpc)
        command = peer.launch(where)
        log = (logs or Path(work)) / f"{peer.name}-{model.name}.log"
        with log.open("ab") as output, pinned(core):
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
            server = Server(peer, process.pid, http, grpc)
            _await_answer(server, dialect, body, process, log)
            seconds, cpu = time.perf_counter() - begin, cpu_seconds(process.pid)
            yield replace(server, start_seconds=seconds, start_cpu=cpu)
        finally:
            _stop(process)


def _inherited(programs: Path) -> dict[str, str]:
    """Our variables without those of our own environment, the peer's programs first."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return {**kept, "PATH": f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}"}


def _await_answer(
    server: Server, dialect: Dialect, body: bytes, process: Process, log: Path
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            ask(server.port_of(dialect), dialect, body)
        except NoAnswerError as error:
            last = error
        else:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-1500:]
            code = process.poll()
            state = "still runs" if code is None else f"ended with code {code}"
            raise BenchError(f"does not start: it {state}, {last}; its output:\n{tail}")
        time.sleep(_FIRST_ANSWER_SECONDS)


def _stop(process: Process) -> None:
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


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
