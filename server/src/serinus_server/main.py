"""The process: arguments, settings and exit codes around the server.

Exit codes: 0 stopped as told, 1 the model cannot be served or the port is taken, 2 wrong usage or
settings. Heavy packages are imported only once the settings are known to be right.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from serinus_server import garbage
from serinus_server.runtimes.threads import limit_threads
from serinus_server.settings import Settings, SettingsError, read_settings
from serinus_server.signals import end_at_once

_EXIT_OK, _EXIT_FAILED, _EXIT_USAGE = 0, 1, 2
_BACKLOG = 1024


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the server until it is told to stop; never returns."""
    end_at_once()
    _parse_arguments(argv)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"serinus-server: {error}\n")
        sys.exit(_EXIT_USAGE)
    code = _run(settings)
    # A model that never returns holds a thread, which must not hold up the exit.
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def _run(settings: Settings) -> int:
    # MLflow's log lines go through our handler instead of one of its own, and it tells nobody
    # outside what is done here.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    limit_threads(os.environ)
    garbage.pause()
    import structlog

    from serinus_server.telemetry.logs import configure_logs

    logs = configure_logs(settings.log_format)
    log = structlog.stdlib.get_logger(__name__)
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        log.error(  # noqa: TRY400 - the reason says all
            "cannot listen", host=settings.host, port=settings.port, reason=error.strerror
        )
        return _EXIT_FAILED
    log.info("listening", host=settings.host, port=listener.getsockname()[1])
    import uvloop

    from serinus_server.serve import serve

    try:
        failure = uvloop.run(serve(settings, listener, logs))
    except OSError as error:
        log.error("cannot listen", host=settings.host, port=settings.grpc_port, reason=str(error))  # noqa: TRY400
        return _EXIT_FAILED
    if failure is None:
        log.info("stopped")
        return _EXIT_OK
    log.error("the model cannot be served", reason=failure)
    _write_termination_log(settings.termination_log, failure)
    return _EXIT_FAILED


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _write_termination_log(path: Path, reason: str) -> None:
    """Kubernetes shows this file's content as the reason of the container's end.

    Where the platform made no such file, there is nobody to read it: only an existing file is
    written, or one in a folder other than /dev.
    """
    try:
        if path.exists() or path.parent != Path("/dev"):
            path.write_text(f"{reason}\n", encoding="utf-8")
    except OSError as error:
        logging.getLogger(__name__).debug("no termination log: %s", error)


def _parse_arguments(argv: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(
        prog="serinus-server",
        description="Serves one MLflow model over HTTP. All settings are environment variables.",
        epilog="environment variables:\n" + "\n".join(_describe_settings()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.parse_args(argv)


def _describe_settings() -> list[str]:
    lines = []
    for field in Settings.model_fields.values():
        if field.is_required():
            default = "required"
        elif field.default in ("", (), None):
            default = "not set"
        else:
            default = f"default {field.default}"
        lines.append(f"  {field.alias:<28} {field.description} ({default})")
    return lines


def _version() -> str:
    from importlib.metadata import version

    return f"serinus-server {version('serinus')}"
