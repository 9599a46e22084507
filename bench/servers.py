"""Starts the servers that are compared, each as a process of its own on the servers' core."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.proc import pinned
from bench.workload import Case, Dialect, Question, serinus_dialect, snippet_dialect
from serinus_server import contract

OURS, PEER = "serinus", "fastapi"
_MODEL_NAME = "bench"
_ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.01

# For both: one thread for arithmetic, and MLflow tells nobody outside what is done here.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


class BenchError(RuntimeError):
    """The comparison cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server that has given its first answer ``start_seconds`` after its start."""

    name: str
    pid: int
    port: int
    dialect: Dialect
    start_seconds: float

    def ask(self, question: Question) -> tuple[str, str]:
        """Body and answer of one request.

        Raises:
            BenchError: the answer is not exactly that of ``mlflow.pyfunc``.
        """
        body = self.dialect.encode(question.rows)
        status, answer = _post(self.port, self.dialect.path, body)
        if status != 200:
            raise BenchError(f"{self.name} answers with {status}: {answer[:300]!r}")
        if self.dialect.decode(answer) != question.answer:
            raise BenchError(f"{self.name} answers other numbers than mlflow.pyfunc")
        return body, answer.decode()


@contextlib.contextmanager
def running(name: str, case: Case, core: int, concurrency: int) -> Iterator[Server]:
    """The server ``name`` with the model of ``case``, stopped at the end of the block.

    Raises:
        BenchError: it does not start, or answers wrongly.
    """
    port = _free_port()
    if name == OURS:
        dialect = serinus_dialect(case.name, _MODEL_NAME)
        command, environ = _serinus(case, port, concurrency)
    else:
        dialect = snippet_dialect(case.name)
        command, environ = _snippet(case, port)
    log = case.folder.parent / f"{name}-{case.name}.log"
    with log.open("wb") as output, pinned(core):
        begin = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env={**os.environ, **_ENVIRONMENT, **environ},
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Where Linux shares a busy core between sessions (autogroup), the server with more
            # threads must not get more of it. It also keeps Ctrl-C for us, who stop it then.
            start_new_session=True,
        )
    try:
        body = dialect.encode(case.single[0].rows)
        _await_answer(process, port, dialect.path, body, log)
        yield Server(name, process.pid, port, dialect, time.perf_counter() - begin)
    finally:
        _stop(process)


def _serinus(case: Case, port: int, concurrency: int) -> tuple[Sequence[str], Mapping[str, str]]:
    return [sys.executable, "-m", "serinus_server"], {
        contract.ENV_HOST: "127.0.0.1",
        contract.ENV_PORT: str(port),
        contract.ENV_MODEL_NAME: _MODEL_NAME,
        contract.ENV_MODEL_URI: case.folder.as_uri(),
        contract.ENV_REVISION: "bench-1",
        contract.ENV_MAX_CONCURRENCY: str(max(64, concurrency)),
        contract.ENV_DRAIN_SECONDS: "0",
        contract.ENV_LOG_FORMAT: "json",
        contract.ENV_TERMINATION_LOG: str(case.folder.parent / "termination-log"),
    }


def _snippet(case: Case, port: int) -> tuple[Sequence[str], Mapping[str, str]]:
    # uvicorn takes uvloop and httptools by itself where they are installed, as here. Without its
    # access log it is faster, and our server has none either.
    application = ["bench.peers.fastapi_snippet:app", "--no-access-log"]
    return (
        [sys.executable, "-m", "uvicorn", *application, "--port", str(port)],
        {"MODEL_FOLDER": str(case.folder)},
    )


def _await_answer(
    process: subprocess.Popen[bytes], port: int, path: str, body: str, log: Path
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _post(port, path, body)[0] == 200:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise BenchError(f"no answer from {log.stem} (exit code {process.poll()}):\n{tail}")
        time.sleep(_POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _post(port: int, path: str, body: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
