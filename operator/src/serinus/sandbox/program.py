"""What the sandbox's programs have in common: options, logging, and a clean end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from serinus.sandbox import kubeconfig
from serinus.sandbox.client import ApiUnreachableError, KubeClient
from serinus.sandbox.kubeconfig import KubeconfigError

log = logging.getLogger(__name__)

KUBECONFIG_SECONDS = 20.0


def parser(part: str, does: str) -> argparse.ArgumentParser:
    """A parser with the options of every part."""
    options = argparse.ArgumentParser(
        prog=f"python -m serinus.sandbox.{part}", description=does, allow_abbrev=False
    )
    options.add_argument("--kubeconfig", type=Path, required=True, help="the cluster to serve")
    options.add_argument("--ready-file", type=Path, help="written when the part is ready")
    options.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING")
    return options


Part = Callable[[KubeClient, Callable[[], None]], Awaitable[None]]  # client, call when ready


def run(options: argparse.Namespace, part: Part) -> int:
    """Run a part until it ends or is told to; returns the exit status."""
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )

    def ready() -> None:
        log.info("ready")
        if options.ready_file is not None:
            options.ready_file.touch()

    async def serve() -> None:
        async with KubeClient(await _connection(options.kubeconfig)) as client:
            await part(client, ready)

    try:
        asyncio.run(until_told(serve()))
    except (ApiUnreachableError, KubeconfigError, PartError) as error:
        log.error("%s", error)  # noqa: TRY400 - the message is the whole story
        return 1
    return 0


async def _connection(path: Path) -> kubeconfig.Connection:
    """Read the kubeconfig; wait for it, because the API server may be starting just now."""
    loop = asyncio.get_running_loop()
    end = loop.time() + KUBECONFIG_SECONDS
    while True:
        try:
            return kubeconfig.load(path)
        except KubeconfigError:
            if loop.time() > end:
                raise
        await asyncio.sleep(0.05)


class PartError(Exception):
    """A part cannot go on; the message says why."""


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a state folder to ourselves. Raises PartError if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartError(f"another process uses {folder}") from None
        yield


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Await ``work``; SIGTERM and SIGINT cancel it, which is a normal end."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    told = False

    def stop() -> None:
        nonlocal told
        told = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
    except BaseExceptionGroup as group:
        # The first failure of a TaskGroup ends the part and is what people need to read.
        known, other = group.split((ApiUnreachableError, PartError))
        if other is not None or known is None:
            raise
        raise _first(known) from group


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
