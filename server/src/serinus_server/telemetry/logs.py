"""Structured logs on standard error: ours, uvicorn's and MLflow's in one form."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from serinus_server.telemetry.outlet import Outlet

_FLUSH_SECONDS = 1.0  # at the process' end; a reader that is stuck must not hold it up


class _Handler(logging.Handler):
    """Formats records where they are made, and leaves the writing to the outlet."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._outlet.put(self.format(record))
        except Exception:  # noqa: BLE001 - as logging has it: a bad log line fails nobody
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits; ``logging.shutdown`` calls this."""
        self._outlet.flush(_FLUSH_SECONDS)


def configure_logs(log_format: str) -> Logs:
    """Send every log line through structlog as ``json`` or ``console``; empty: by the terminal."""
    console = log_format == "console" or (not log_format and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    render: Any = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            sort_keys=False,
            # Richer tracebacks show local variables, and with them the clients' data.
            exception_formatter=structlog.dev.plain_traceback,
        )
        if console
        else structlog.processors.JSONRenderer()
    )
    last: list[Any] = (
        [render]
        if console
        else [structlog.processors.format_exc_info, _begin_with_what_matters, render]
    )
    logs = Logs(sys.stderr.fileno(), render)
    handler = _Handler(logs.outlet)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    # uvicorn tells about sockets and processes; the server tells about itself.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return logs


def _begin_with_what_matters(_logger: Any, _name: str, entry: Any) -> dict[str, Any]:
    """``entry`` in an order in which people can read it, too."""
    first = {key: entry[key] for key in ("timestamp", "level", "event", "logger") if key in entry}
    return {**first, **{key: value for key, value in entry.items() if key not in first}}


class Logs:
    """Where log lines go. For lines that are many, ``write`` costs less than a logger."""

    def __init__(self, descriptor: int, render: Any) -> None:
        self._render = render
        self.outlet = Outlet(descriptor, self._tell_dropped)

    def write(
        self, logger: str, level: str, event: str, fields: Mapping[str, Any], time: float
    ) -> None:
        """One line of the time ``time``, in seconds since 1970."""
        stamp = datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")
        entry = {"timestamp": stamp, "level": level, "event": event, "logger": logger, **fields}
        self.outlet.put(self._render(None, "", entry))

    def _tell_dropped(self, count: int) -> str:
        entry = {"level": "warning", "event": "log lines were dropped", "lines": count}
        return str(self._render(None, "", entry))
