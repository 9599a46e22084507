"""The one way a prediction request takes, whatever its protocol: limits, model, metrics, answer.

A plain ASGI application, because it is the hot path: what is the same for all requests is made
once, in the constructor.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

import structlog
from starlette.types import Message, Receive, Scope, Send

from serinus_server import contract, errors
from serinus_server.protocols.codec import Answer, Codec, Request, answer
from serinus_server.protocols.status import STATUS
from serinus_server.service.inference import Inference
from serinus_server.service.model import Identity
from serinus_server.telemetry.metrics import RequestSeries
from serinus_server.telemetry.stopwatch import Stopwatch

_log = structlog.stdlib.get_logger(__name__)

_CLIENT_GONE = 499  # counted, never sent: nobody is there to read it


class _ClientGone(Exception):
    """The client closed the connection before its body was complete."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    max_bytes: int
    timeout: float  # seconds from the request's first byte here to its answer


class PredictionEndpoint:
    """Answers the prediction requests of one protocol."""

    def __init__(
        self,
        codec: Codec,
        inference: Inference,
        series: RequestSeries,
        identity: Identity,
        limits: Limits,
    ) -> None:
        self._codec = codec
        self._inference = inference
        self._series = series
        self._limits = limits
        self._headers = [
            (contract.HEADER_REVISION.encode(), identity.revision.encode()),
            (contract.HEADER_VERSION.encode(), identity.version.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = Stopwatch.start()
        status = 500
        headers = self._headers
        try:
            try:
                found = await self._answer(scope, receive)
                status = 200
            except errors.RequestError as error:
                status = STATUS[type(error)]
                headers = [*headers, *_headers_of(error)]
                found = Answer(self._codec.error(error))
            except _ClientGone:
                status = _CLIENT_GONE
                return
            except Exception:  # noqa: BLE001 - an answer that has no JSON form, or a mistake of ours
                error_id = secrets.token_hex(6)
                _log.exception("request failed", error_id=error_id, protocol=self._codec.name)
                found = Answer(self._codec.error(errors.PredictionFailed(error_id)))
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [
                        *headers,
                        *found.headers,
                        (b"content-length", b"%d" % len(found.body)),
                    ],
                }
            )
            await send({"type": "http.response.body", "body": found.body})
        finally:
            self._series.observe(status, watch.seconds)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        deadline = asyncio.get_running_loop().time() + self._limits.timeout
        self._inference.admit()
        try:
            request = await self._read(scope, receive, deadline)
        except BaseException:
            self._inference.abandon()
            raise
        codec = self._codec
        return await self._inference.run(
            lambda model: answer(codec, model, request), deadline, self._limits.timeout
        )

    async def _read(self, scope: Scope, receive: Receive, deadline: float) -> Request:
        content_type = ""
        wanted: dict[str, str] = {}
        for name, value in scope["headers"]:
            if name == b"content-type":
                content_type = value.decode("latin-1")
            elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise errors.UnsupportedMedia("compressed request bodies are not supported")
            elif name == b"content-length" and int(value) > self._limits.max_bytes:
                raise errors.RequestTooLarge(self._limits.max_bytes)
            elif name == b"inference-header-content-length":  # the V2 codec's
                wanted = {"inference-header-content-length": value.decode("latin-1")}
        message = await self._receive(receive, deadline)
        body = self._within_limit(message.get("body", b""))
        if message.get("more_body", False):
            parts = bytearray(body)
            while message.get("more_body", False):
                message = await self._receive(receive, deadline)
                parts += message.get("body", b"")
                self._within_limit(parts)
            body = bytes(parts)
        return Request(body, content_type, scope.get("path_params", {}), wanted)

    async def _receive(self, receive: Receive, deadline: float) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise errors.BodyTimeout(self._limits.timeout) from None
        if message["type"] == "http.disconnect":
            raise _ClientGone
        return message

    def _within_limit(self, body: bytes | bytearray) -> bytes:
        if len(body) > self._limits.max_bytes:
            raise errors.RequestTooLarge(self._limits.max_bytes)
        return body  # type: ignore[return-value]  # callers keep a bytearray apart


def _headers_of(error: errors.RequestError) -> list[tuple[bytes, bytes]]:
    if isinstance(error, errors.Overloaded):
        return [(b"retry-after", b"%d" % error.retry_after)]
    if isinstance(error, (errors.RequestTooLarge, errors.BodyTimeout)):
        # The rest of the body is not read: what follows on this connection would be garbage.
        return [(b"connection", b"close")]
    return []
