"""A data plane without sockets, and one with them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from serinus_server.connection import guarded_protocol
from serinus_server.runtimes.base import Signature, Tensor

ROWS = Signature((Tensor(None, np.dtype("f8"), (-1, -1)),))


class RowWise:
    """A model that answers twice its input, and remembers what it was asked.

    With ``gate`` set it answers only when that is let. Rows that begin with a negative number
    fail, and with them all that are asked beside them.
    """

    flavor = "scripted"
    name = "row-wise"

    def __init__(
        self,
        *,
        quick: bool = True,
        quick_rows: int = 64,
        row_wise: bool = True,
        answer: Callable[[Any], Any] = lambda rows: rows * 2,
        predict_parts: Callable[[Any, Sequence[int]], Any] | None = None,
        signature: Signature = ROWS,
    ) -> None:
        self.quick_rows = quick_rows if quick else 0
        self.row_wise = row_wise
        self.predict_parts = predict_parts
        self.signature = signature
        self.answer = answer
        self.asked: list[Any] = []
        self.calls_with_params = 0
        self.gate: Any = None

    @property
    def rows(self) -> list[int]:
        """The rows of every call."""
        return [len(asked) for asked in self.asked]

    def predict(self, model_input: Any, params: Mapping[str, Any] | None) -> Any:
        self.asked.append(model_input)
        self.calls_with_params += params is not None
        if self.gate is not None:
            self.gate.predict(model_input)
        if isinstance(model_input, np.ndarray) and (model_input[:, 0] < 0).any():
            raise ValueError("negative")
        return self.answer(model_input)


@pytest.fixture
def row_wise() -> type[RowWise]:
    return RowWise


class Gate:
    """Holds predictions up until it is opened."""

    def __init__(self) -> None:
        import threading

        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def predict(self, _: Any) -> None:
        self.entered.release()
        assert self.open.wait(20)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


class Listening:
    """A server of this process that listens on loopback, by uvicorn's protocol and our lane."""

    def __init__(self, server: Any, port: int, state: ServerState) -> None:
        self.application = server.application
        self.metric = server.metric
        self.until = server.until
        self.port = port
        self.state = state
        self.clients: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        return reader, writer

    async def send(self, data: bytes) -> bytes:
        """All that comes back for ``data`` on a connection of its own, until the server closes."""
        reader, writer = await self.connect()
        writer.write(data)
        async with asyncio.timeout(10):
            received = await reader.read()
        writer.close()
        return received


Listen = Callable[..., AbstractAsyncContextManager[Listening]]


@pytest.fixture
def listen(serve: Any, empty_model: Path) -> Listen:
    """Run a server on a socket: ``async with listen(runtime, SERINUS_...="...") as server``."""

    @asynccontextmanager
    async def run(runtime: Any, patience: float = 10.0, **environ: str) -> AsyncIterator[Listening]:
        async with serve(empty_model, lambda _: runtime, **environ) as server:
            application = server.application
            loop = asyncio.get_running_loop()
            state = ServerState()
            config = Config(
                application.asgi, ws="none", lifespan="off", log_config=None, access_log=False
            )
            config.load()
            protocol = guarded_protocol(patience, application.lanes)
            listener = await loop.create_server(
                lambda: protocol(config=config, server_state=state, app_state={}, _loop=loop),
                "127.0.0.1",
            )
            listening = Listening(server, listener.sockets[0].getsockname()[1], state)
            try:
                yield listening
            finally:
                listener.close()
                for client in listening.clients:
                    client.transport.abort()
                    with contextlib.suppress(ConnectionError):
                        await client.wait_closed()
                for connection in list(state.connections):
                    connection.transport.abort()
                for task in list(state.tasks):
                    task.cancel()
                await listener.wait_closed()

    return run
