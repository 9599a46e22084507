"""From a URI to a model that has answered its own example: every step before READY."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from serinus_server.artifacts.admission import Admitted, admit
from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest
from serinus_server.artifacts.limits import Limits
from serinus_server.errors import DigestMismatch, RequestError, WarmupFailed
from serinus_server.runtimes.base import Runtime
from serinus_server.telemetry.metrics import Metrics
from serinus_server.telemetry.stopwatch import Stopwatch

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Which model to load, and what is demanded of it."""

    uri: str
    expected_digest: str = ""  # empty: any
    allow_custom_code: bool = False
    tracking_uri: str = ""
    limits: Limits = field(default_factory=Limits)
    timeout: float | None = None  # seconds for the download; None: as long as it takes


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads the model of ``source`` below the private folder ``workspace``."""

    source: Source
    version: str  # for the metrics
    workspace: Path
    metrics: Metrics
    load_runtime: Callable[[Path], Runtime]

    def load(self) -> tuple[Runtime, bytes | None]:
        """The model, and the example to warm it up with if one was logged.

        Raises:
            StartupError: the model cannot be served.
        """
        watch = Stopwatch.start()
        folder = fetch(
            self.source.uri,
            self.workspace,
            tracking_uri=self.source.tracking_uri,
            limits=self.source.limits,
            timeout=self.source.timeout,
        )
        # Nobody else can write to the folder, so that these are the bytes that will be loaded.
        found = digest(folder, self.source.limits)
        if self.source.expected_digest and found != self.source.expected_digest:
            raise DigestMismatch(
                f"the model's files have the digest {found}, "
                f"but {self.source.expected_digest} was asked for"
            )
        admitted = admit(
            folder,
            allow_custom_code=self.source.allow_custom_code,
            limits=self.source.limits,
        )
        _log.info("model fetched", digest=found, seconds=round(watch.seconds, 3))
        runtime = self.load_runtime(folder)
        self.metrics.model_loaded(
            uri=self.source.uri,
            version=self.version,
            digest=found,
            flavor=runtime.flavor,
        )
        _log.info("model loaded", flavor=runtime.flavor, seconds=round(watch.seconds, 3))
        return runtime, _example(admitted)


def warm_up(ask: Callable[[], object], requests: int, metrics: Metrics) -> None:
    """Call ``ask`` ``requests`` times, counted as warm-up traffic.

    Raises:
        WarmupFailed: a call failed.
    """
    for number in range(1, requests + 1):
        watch = Stopwatch.start()
        try:
            ask()
        except RequestError as error:
            metrics.warmup.observe(500, watch.seconds)
            cause = error.__cause__
            why = f"{error}" if cause is None else f"{type(cause).__name__}: {cause}"
            raise WarmupFailed(
                f"warm-up request {number} of {requests} with the model's input example failed: "
                f"{why.splitlines()[0]}"
            ) from error
        metrics.warmup.observe(200, watch.seconds)


def _example(admitted: Admitted) -> bytes | None:
    return None if admitted.serving_example is None else admitted.serving_example.read_bytes()
