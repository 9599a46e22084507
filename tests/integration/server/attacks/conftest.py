"""A victim with the default limits, a bystander that nobody attacks, and who watches both."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.integration.server.conftest import ServerProcess

from serinus_server import contract

from . import watch
from .held_connections import CROWD
from .wire import Target

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

TIMEOUT = 3.0  # seconds for heads, bodies and answers, so that the slow ones are soon over
_MAX_BYTES = 1024 * 1024  # the default


@dataclass(frozen=True, slots=True)
class Look:
    """One question of the watching process; ``problem`` is empty for a right answer."""

    kind: str
    when: float
    seconds: float
    problem: str


class Watch:
    """The watching process, and what it has seen so far."""

    def __init__(self, victim: ServerProcess, bystander: ServerProcess) -> None:
        ports = [str(urlsplit(server.url).port) for server in (victim, bystander)]
        self._process = subprocess.Popen(
            [sys.executable, str(Path(watch.__file__)), *ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._seen: list[Look] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._seen.append(Look(*json.loads(line)))

    def since(self, begin: float) -> list[Look]:
        """What was begun at the monotonic time ``begin`` or later."""
        return [look for look in list(self._seen) if look.when >= begin]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._reader.join(10)
        self._process.stdout.close()


class Memory:
    """A process' resident memory, as the kernel counts it; bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def forget_peak(self) -> None:
        """Count the peak from now on."""
        (self._folder / "clear_refs").write_text("5")

    @property
    def peak(self) -> int:
        """The most that there was since ``forget_peak``."""
        status = (self._folder / "status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CROWD + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} open files, and may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Doubles the second value; admitted without code of its own, and asked by a fast runtime."""
    folder = tmp_path_factory.mktemp("plain") / "model"
    features = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 3.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            LinearRegression().fit(features, features[:, 1] * 2),
            folder,
            serialization_format="cloudpickle",
            signature=infer_signature(features, features[:, 1]),
            input_example=features[:1],
            pip_requirements=["scikit-learn"],
        )
    return folder


@pytest.fixture(scope="module")
def servers(plain_model: Path) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """The victim and the bystander; no limit but the timeout differs from its default."""
    environ = {
        contract.ENV_HOST: "127.0.0.1",
        contract.ENV_PORT: "0",
        contract.ENV_GRPC_PORT: "0",
        contract.ENV_MODEL_NAME: "churn",
        contract.ENV_MODEL_URI: plain_model.as_uri(),
        contract.ENV_LOG_FORMAT: "json",
        contract.ENV_REQUEST_TIMEOUT: str(TIMEOUT),
        contract.ENV_TERMINATION_LOG: os.devnull,
    }
    both = ServerProcess(environ), ServerProcess(environ)
    try:
        for server in both:
            server.until_ready()
        yield both
    finally:
        for server in both:
            server.process.kill()
            server.wait()
            assert server.process.stdout is not None
            server.process.stdout.close()
            assert server.process.stderr is not None
            server.process.stderr.close()


@pytest.fixture(scope="module")
def victim(servers: tuple[ServerProcess, ServerProcess]) -> ServerProcess:
    """The server under attack."""
    return servers[0]


@pytest.fixture(scope="module")
def target(victim: ServerProcess) -> Target:
    """Where the victim is to be attacked."""
    told = [entry for entry in map(json.loads, victim.log) if entry["event"].endswith("for gRPC")]
    port = urlsplit(victim.url).port
    assert port is not None
    return Target(port, told[0]["port"], TIMEOUT, _MAX_BYTES)


@pytest.fixture(scope="module")
def watcher(servers: tuple[ServerProcess, ServerProcess]) -> Iterator[Watch]:
    """Watches both servers for as long as the tests last."""
    found = Watch(*servers)
    deadline = time.monotonic() + 30
    while len(found.since(0.0)) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield found
    found.close()
