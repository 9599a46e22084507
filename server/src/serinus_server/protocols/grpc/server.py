"""A gRPC server beside the HTTP one: on the same event loop, with the same lifecycle and limits."""

from __future__ import annotations

import asyncio
import os

# Its own log lines have another form than ours; what matters reaches us as errors and statuses.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# Without threads of the core between the sockets and us, a call costs a tenth less. It concerns only
# sockets that servers listen on. A version of gRPC that does not know the name says so on standard
# error, and goes on.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from serinus_server.protocols.grpc.service import SERVICE, InferenceService
from serinus_server.protocols.routes import Service
from serinus_server.service.lifecycle import State, is_live, is_ready

LIVENESS = "liveness"  # the health service that Kubernetes' liveness probe may ask for

_READINESS = (health.OVERALL_HEALTH, SERVICE.full_name)
_IDENTITY_ONLY = 1  # the set of compressions that gRPC calls "identity"
_HANDSHAKE_SECONDS = 10
_MOST_STREAMS = 1024  # of one connection; further calls wait on the client's side


class GrpcServer:
    """Answers gRPC on ``port`` of ``host`` (0: any free port) for the parts in ``service``."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._lifecycle = service.lifecycle
        self._server = grpc.aio.server(options=_options(service.limits.max_bytes))
        self._server.add_generic_rpc_handlers((InferenceService(service).handlers(),))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._telling: asyncio.Task[None] | None = None
        self.port = port

    async def start(self) -> None:
        """Listen, and follow the lifecycle from now on.

        Raises:
            OSError: the address cannot be listened on.
        """
        try:
            self.port = self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise OSError(f"cannot listen for gRPC on {self._address}") from None
        await self._tell_health()
        self._lifecycle.follow(self._changed)
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and end when those in flight have ended, or after ``seconds``."""
        await self._server.stop(seconds)

    def _changed(self, _old: State, _new: State) -> None:
        self._telling = asyncio.get_running_loop().create_task(self._tell_health())

    async def _tell_health(self) -> None:
        state = self._lifecycle.state
        for name in _READINESS:
            await self._health.set(name, _status(serving=is_ready(state)))
        await self._health.set(LIVENESS, _status(serving=is_live(state)))


def _status(*, serving: bool) -> int:
    found = health_pb2.HealthCheckResponse
    return found.SERVING if serving else found.NOT_SERVING


def _options(max_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        # A compressed message could be a thousand times as large as the limit.
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_SECONDS * 1000),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a shared port
    ]
