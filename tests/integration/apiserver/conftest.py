from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from serinus.sandbox.apiserver.bootstrap import Running, serve
from serinus.sandbox.apiserver.credentials import User

from .connection import Connection

CRDS = Path(__file__).with_name("crds")
TOKENS = {"limited-token": User("limited", ("system:authenticated",))}


@dataclass(frozen=True, slots=True)
class Server:
    """A sandbox API server in a thread of its own."""

    running: Running
    kubeconfig: Path
    loop: asyncio.AbstractEventLoop

    def run(self, action: Callable[[], object]) -> None:
        """Run ``action`` in the server's thread, between two requests."""

        async def act() -> None:
            action()

        asyncio.run_coroutine_threadsafe(act(), self.loop).result(20)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        start = serve(users=TOKENS, crds=[CRDS])
        running = asyncio.run_coroutine_threadsafe(start, loop).result(20)
        try:
            kubeconfig = folder / "kubeconfig"
            running.write_admin_kubeconfig(kubeconfig)
            yield Server(running, kubeconfig, loop)
        finally:
            asyncio.run_coroutine_threadsafe(running.stop(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture(scope="session")
def connection(server: Server) -> Connection:
    return Connection(server.kubeconfig)
