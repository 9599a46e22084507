"""Logs and metrics of the operator itself."""

from __future__ import annotations

import logging
import sys
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serinus.app.settings import Settings


class Telemetry:
    """The operator's own metrics, in a registry of their own."""

    def __init__(self) -> None:
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
        self._last_resync = Gauge(
            "serinus_operator_last_resync_timestamp_seconds",
            "When every object was last listed.",
            registry=self.registry,
        )
        self._resynced_at: float | None = None

    def resynced(self) -> None:
        """A resync went through."""
        self._resynced_at = time.monotonic()
        self._last_resync.set_to_current_time()

    def resync_age(self) -> float | None:
        """Seconds since the last resync; None before the first one."""
        return None if self._resynced_at is None else time.monotonic() - self._resynced_at


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
