"""Logs and metrics of the operator itself."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serinus.app.settings import Settings

STUCK = 120.0  # seconds in one reconcile, which is to end long before


class Telemetry:
    """The operator's own metrics, in a registry of their own, and whether it makes progress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.registry = CollectorRegistry()
        self.reconcile_seconds = Histogram(
            "serinus_operator_reconcile_seconds",
            "Duration of one reconcile.",
            registry=self.registry,
        )
        self.crashes = Counter(
            "serinus_operator_reconcile_crashes",
            "Reconciles that ended in an unexpected error.",
            registry=self.registry,
        )
        self.poison_objects = Gauge(
            "serinus_operator_poison_objects",
            "Objects of which every reconcile crashes.",
            registry=self.registry,
        )
        self._last_resync = Gauge(
            "serinus_operator_last_resync_timestamp_seconds",
            "When every object was last listed.",
            registry=self.registry,
        )
        self._alive_at = clock()
        self._running: dict[object, float] = {}

    def resynced(self) -> None:
        """A resync went through."""
        self._last_resync.set_to_current_time()
        self.alive()

    def alive(self) -> None:
        """The API server answered, if not with objects."""
        self._alive_at = self._clock()

    @contextmanager
    def reconciling(self) -> Iterator[None]:
        """Around one reconcile: its time is measured, and told while it runs."""
        me = object()
        self._running[me] = self._clock()
        try:
            with self.reconcile_seconds.time():
                yield
        finally:
            del self._running[me]

    def trouble(self, limit: float) -> str:
        """Why this process had better be started anew; empty when it makes progress.

        ``limit`` is how many seconds ago the last resync, or the start, may be.
        """
        now = self._clock()
        longest = max((now - since for since in self._running.values()), default=0.0)
        if longest > STUCK:
            return f"a worker has been in one reconcile for {longest:.0f} s"
        age = now - self._alive_at
        if age > limit:
            return f"no resync went through for {age:.0f} s"
        return ""


def configure_logging(settings: Settings) -> None:
    """One line per event on standard error: JSON in a pod, readable in a terminal."""
    console = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("httpx2", "httpcore2", "aiohttp.access", "kopf"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
