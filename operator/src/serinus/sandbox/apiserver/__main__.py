"""``python -m serinus.sandbox.apiserver``: serve until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from serinus.sandbox.apiserver.bootstrap import Running, serve
from serinus.sandbox.apiserver.credentials import load_tokens

log = logging.getLogger("serinus.sandbox.apiserver")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m serinus.sandbox.apiserver", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="written: the admin's")
    parser.add_argument(
        "--crds", type=Path, action="append", default=[], help="apply the CRDs in this folder"
    )
    parser.add_argument("--tokens", type=Path, help="JSON file: token -> {user, groups}")
    parser.add_argument(
        "--history", type=int, default=20_000, help="how many changes a late watch may catch up"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log every request")
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    users = load_tokens(arguments.tokens) if arguments.tokens else {}
    running: Running = await serve(
        host=arguments.host,
        port=arguments.port,
        users=users,
        crds=arguments.crds,
        history=arguments.history,
        log_requests=arguments.verbose,
    )
    try:
        running.write_admin_kubeconfig(arguments.kubeconfig)
        log.info("serving on %s, kubeconfig %s", running.url, arguments.kubeconfig)
        await stop.wait()
    finally:
        await running.stop()
        log.info("stopped")


def main(argv: list[str] | None = None) -> int:
    """Run the server; returns the exit status."""
    arguments = _arguments(argv)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        asyncio.run(_run(arguments))
    except (OSError, ValueError) as error:
        log.error("cannot serve: %s", error)  # noqa: TRY400
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
