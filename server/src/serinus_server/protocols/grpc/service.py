"""The calls of ``inference.GRPCInferenceService``. They live on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import grpc
import grpc.aio

from serinus_server import contract, errors
from serinus_server.protocols.codec import Answer, Request, answer
from serinus_server.protocols.grpc import open_inference_pb2 as messages
from serinus_server.protocols.grpc.codec import GrpcCodec, names_of
from serinus_server.protocols.grpc.patience import Patience
from serinus_server.protocols.grpc.status import CODES
from serinus_server.protocols.routes import Service, server_version
from serinus_server.protocols.v2 import EXTENSIONS, check_names, model_metadata
from serinus_server.service.inference import Job, unexpected
from serinus_server.service.lifecycle import is_live, is_ready
from serinus_server.service.model import ServedModel
from serinus_server.telemetry.seen import Seen, clean_request_id

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]

_LARGE_MESSAGE = 64 * 1024  # bytes; decoding more than these would hold up the event loop
_LONGEST_DETAILS = 1000  # characters; clients take some 8 KiB of trailers

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class InferenceService:
    """The protocol's methods, each with the name that it has there."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._inference = service.inference
        self._series = service.metrics.grpc()
        self._timeout = service.limits.timeout
        self._codec = GrpcCodec()
        self._reading = Patience()
        # Sent with every answer to a prediction, whatever its outcome.
        self._who = (
            (contract.HEADER_REVISION, service.identity.revision),
            (contract.HEADER_VERSION, service.identity.version),
        )

    def handlers(self) -> grpc.GenericRpcHandler:
        """All methods, for a server to call."""
        plain: dict[str, tuple[Callable[[Any], Any], Any]] = {
            "ServerLive": (self._server_live, messages.ServerLiveRequest),
            "ServerReady": (self._server_ready, messages.ServerReadyRequest),
            "ModelReady": (self._model_ready, messages.ModelReadyRequest),
            "ServerMetadata": (self._server_metadata, messages.ServerMetadataRequest),
            "ModelMetadata": (self._model_metadata, messages.ModelMetadataRequest),
        }
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(
                _answering(method),
                request_deserializer=request.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, (method, request) in plain.items()
        }
        # To the server it is a call of any number of messages, which are the same on the wire: so the
        # message is read only when there is a slot for it, and within the time that it may take.
        # It comes and goes as bytes: the codec can tell what is wrong with them.
        methods["ModelInfer"] = grpc.stream_unary_rpc_method_handler(self._model_infer)
        return grpc.method_handlers_generic_handler(SERVICE.full_name, methods)

    def _server_live(self, _: messages.ServerLiveRequest) -> messages.ServerLiveResponse:
        return messages.ServerLiveResponse(live=is_live(self._service.lifecycle.state))

    def _server_ready(self, _: messages.ServerReadyRequest) -> messages.ServerReadyResponse:
        return messages.ServerReadyResponse(ready=is_ready(self._service.lifecycle.state))

    def _model_ready(self, request: messages.ModelReadyRequest) -> messages.ModelReadyResponse:
        check_names(self._service.identity, names_of(request.name, request.version))
        return messages.ModelReadyResponse(ready=is_ready(self._service.lifecycle.state))

    def _server_metadata(
        self, _: messages.ServerMetadataRequest
    ) -> messages.ServerMetadataResponse:
        return messages.ServerMetadataResponse(
            name="serinus", version=server_version(), extensions=EXTENSIONS
        )

    def _model_metadata(
        self, request: messages.ModelMetadataRequest
    ) -> messages.ModelMetadataResponse:
        check_names(self._service.identity, names_of(request.name, request.version))
        return messages.ModelMetadataResponse(**model_metadata(self._inference.serving()))

    async def _model_infer(self, _: Any, context: Context) -> bytes:
        begin = time.perf_counter()
        code = grpc.StatusCode.INTERNAL
        who: tuple[tuple[str, str], ...] = self._who
        jobs: list[Job] = []
        why = ""
        try:
            request_id = _request_id(context)
            if request_id:
                who = (*who, (contract.HEADER_REQUEST_ID, request_id))
            context.set_trailing_metadata(who)
            found = await self._answer(context, jobs.append)
            code = grpc.StatusCode.OK
        except errors.RequestError as error:
            why = type(error).__name__
            code = _tell(context, error, who)
        except asyncio.CancelledError:
            # The client has gone away, or its deadline has passed, which it may not have told yet.
            late = context.time_remaining() == 0
            code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            raise
        except Exception:  # noqa: BLE001 - an answer that has no form in the protocol, or our mistake
            code = _tell(context, unexpected(), who)
        else:
            return found.body
        finally:
            seconds = time.perf_counter() - begin
            self._series.observe_code(code.name, seconds)
            observer = self._service.observer
            failed = code.name in contract.ERROR_CODES
            if failed or (observer.watches and observer.chooses()):
                observer.ended(_seen(context, code.name, begin, seconds, jobs, why))
        return b""

    async def _answer(self, context: Context, follow: Callable[[Job], None]) -> Answer:
        """The answer, in the time that the server has, and that the client has left."""
        remaining = context.time_remaining()
        timeout = self._timeout if remaining is None else min(self._timeout, remaining)
        deadline = asyncio.get_running_loop().time() + timeout
        inference = self._inference
        model = inference.admit()
        try:
            request = Request(await self._read(context, deadline, timeout))
            large = len(request.body) > _LARGE_MESSAGE
            question = None if large else self._codec.decode(model, request)
        except BaseException:
            inference.abandon()
            raise
        if question is None:
            work = partial(_whole, self._codec, request)
            found: Answer = await inference.run(work, deadline, timeout)
            return found
        prediction = await inference.ask(
            question.payload, question.params, deadline, timeout, follow
        )
        return self._codec.encode(model, question, prediction)

    async def _read(self, context: Context, deadline: float, limit: float) -> bytes:
        """The one message of the call; ``limit`` is the seconds until ``deadline``, for the error."""
        try:
            body = await self._reading.wait(context.read(), deadline)
        except TimeoutError:
            raise errors.BodyTimeout(limit) from None
        if not isinstance(body, bytes):  # grpc.aio.EOF
            raise errors.MalformedRequest("the call has no message")
        return body


def _answering(method: Callable[[Any], Any]) -> Callable[[Any, Context], Awaitable[Any]]:
    """``method`` as gRPC calls it: what it raises becomes the call's status."""

    async def call(request: Any, context: Context) -> Any:
        try:
            return method(request)
        except errors.RequestError as error:
            _tell(context, error, ())

    return call


def _tell(
    context: Context, error: errors.RequestError, metadata: tuple[tuple[str, str], ...]
) -> grpc.StatusCode:
    """Make ``error`` the outcome of the call."""
    code = CODES[type(error)]
    context.set_code(code)
    context.set_details(str(error)[:_LONGEST_DETAILS])
    if isinstance(error, errors.Overloaded):  # what Retry-After is to HTTP
        pushback = ("grpc-retry-pushback-ms", str(1000 * error.retry_after))
        context.set_trailing_metadata((*metadata, pushback))
    return code


def _request_id(context: Context) -> str:
    """The client's id of the call, if it has one that may be repeated."""
    for name, value in context.invocation_metadata() or ():
        if name == contract.HEADER_REQUEST_ID and isinstance(value, str):
            return clean_request_id(value.encode()).decode()
    return ""


def _seen(
    context: Context, code: str, begin: float, seconds: float, jobs: list[Job], error: str
) -> Seen:
    headers = [
        (name.encode(), value.encode())
        for name, value in context.invocation_metadata() or ()
        if isinstance(value, str)
    ]
    rows, call = (jobs[0].rows, jobs[0].call) if jobs else (0, None)
    failed = code in contract.ERROR_CODES
    return Seen(
        contract.PROTOCOL_GRPC, code, failed, begin, seconds, rows, call,
        _request_id(context), headers, error,
    )  # fmt: skip


def _whole(codec: GrpcCodec, request: Request, model: ServedModel) -> Answer:
    return answer(codec, model, request)
