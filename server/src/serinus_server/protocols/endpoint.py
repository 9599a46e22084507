"""The one way a prediction request takes, whatever its protocol: limits, model, metrics, answer.

A ``Call`` is one request on that way, driven by callbacks. ``connection.LaneCall`` feeds it from a
connection directly, which is the hot path; ``PredictionEndpoint`` itself is an ASGI application
for all the requests whose path is not written as usual.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from starlette.types import Message, Receive, Scope, Send

from serinus_server import contract, errors
from serinus_server.protocols.codec import JSON_HEADERS, Answer, Codec, Question, Request
from serinus_server.protocols.status import STATUS
from serinus_server.service.inference import Inference, Job, unexpected
from serinus_server.service.model import Identity, ServedModel
from serinus_server.service.payload import Prediction
from serinus_server.telemetry.metrics import RequestSeries
from serinus_server.telemetry.observer import Observer
from serinus_server.telemetry.seen import ModelCall, Seen, clean_request_id

Headers = tuple[tuple[bytes, bytes], ...]

_FAILED = 500  # statuses from here on are the server's fault
_CLIENT_GONE = 499  # counted, never sent: nobody is there to read it
_LARGE_BODY = 32 * 1024  # bytes; decoding more than these would hold up the event loop
_BINARY_HEADER = b"inference-header-content-length"
_REQUEST_ID = contract.HEADER_REQUEST_ID.encode()
_NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    max_bytes: int
    timeout: float  # seconds from the request's head to its answer
    max_elements: int = contract.DEFAULT_MAX_ELEMENTS  # values in JSON


class Call(ABC):
    """One prediction request. Subclasses bring its bytes and take its response away.

    ``start``, then ``ask`` once the body is complete; or ``fail``, or ``leave``, at any time.
    """

    __slots__ = (
        "_begin", "_content_type", "_headers", "_holds_slot", "_job", "_model", "_path", "_question",
        "_rows", "_wanted", "deadline", "endpoint", "over", "request_id",
    )  # fmt: skip

    def __init__(self, endpoint: PredictionEndpoint, path: Mapping[str, str]) -> None:
        self.endpoint = endpoint
        self.over = False
        self._path = path
        self._holds_slot = False
        self._job: Job | None = None
        self._question: Question | None = None
        self._content_type = ""
        self._wanted = _NO_HEADERS
        self._rows = 0
        self.request_id = b""  # the client's, to be sent back

    @abstractmethod
    def respond(self, status: int, headers: Headers, body: bytes, *, close: bool) -> None:
        """Send the response; ``close`` when nothing else may follow on the connection."""

    def start(self, headers: Iterable[tuple[bytes, bytes]], now: float) -> None:
        """Admission, and whatever ``headers`` (lower-case names) say; ``now`` is the loop's time."""
        endpoint = self.endpoint
        limits = endpoint.limits
        self._begin = time.perf_counter()
        self._headers = headers
        self.deadline = now + limits.timeout
        try:
            self._model = endpoint.inference.admit()
            self._holds_slot = True
            for name, value in headers:
                if name == b"content-type":
                    self._content_type = value.decode("latin-1")
                elif name == b"content-length":
                    if int(value) > limits.max_bytes:
                        raise errors.RequestTooLarge(limits.max_bytes)
                elif name == b"content-encoding":
                    if value.strip().lower() not in (b"", b"identity"):
                        raise errors.UnsupportedMedia("compressed request bodies are not supported")
                elif name == _REQUEST_ID:
                    self.request_id = clean_request_id(value)
                elif name == _BINARY_HEADER:
                    self._wanted = {_BINARY_HEADER.decode(): value.decode("latin-1")}
        except errors.RequestError as error:
            self.fail(error)

    def ask(self, body: bytes) -> None:
        """The body is complete: ask the model. The response comes later, or at once if it is bad."""
        endpoint = self.endpoint
        request = Request(body, self._content_type, self._path, self._wanted)
        timeout = endpoint.limits.timeout
        if len(body) > _LARGE_BODY:
            self._holds_slot = False
            self._job = endpoint.inference.offload(
                partial(_answer, endpoint.codec, request), self.deadline, timeout, self._answered
            )
            return
        try:
            model = self._model
            question = endpoint.codec.decode(model, request)
            params = question.params
            model_input, rows = model.bind(question.payload, params)
        except errors.RequestError as error:
            self.fail(error)
        except Exception:  # noqa: BLE001 - a mistake of ours
            self.fail(unexpected())
        else:
            self._holds_slot = False
            self._rows = rows
            if endpoint.inference.is_large(rows, params):
                self._job = endpoint.inference.offload(
                    partial(_ask, endpoint.codec, question, model_input, rows),
                    self.deadline, timeout, self._answered,
                )  # fmt: skip
                return
            self._question = question
            self._job = endpoint.inference.submit(
                model_input, rows, params, self.deadline, timeout, self._predicted
            )

    def fail(self, error: errors.RequestError) -> None:
        """Respond with ``error``; nothing is awaited any more."""
        headers = JSON_HEADERS
        close = False
        for name, value in self._headers:  # they were not all looked at
            if name == _REQUEST_ID:
                self.request_id = clean_request_id(value)
        if isinstance(error, errors.Overloaded):
            headers = (*headers, (b"retry-after", b"%d" % error.retry_after))
        elif isinstance(error, (errors.RequestTooLarge, errors.BodyTimeout)):
            # The rest of the body is not read: what follows on this connection would be garbage.
            close = True
        self._end(STATUS[type(error)], error)
        self.respond(STATUS[type(error)], headers, self.endpoint.codec.error(error), close=close)

    def leave(self) -> None:
        """The client is gone."""
        if not self.over:
            if self._job is not None:
                self.endpoint.inference.withdraw(self._job)
            self._end(_CLIENT_GONE)

    def _predicted(self, outcome: Prediction | errors.RequestError) -> None:
        if isinstance(outcome, errors.RequestError):
            self.fail(outcome)
            return
        endpoint = self.endpoint
        question = self._question
        assert question is not None  # noqa: S101 - it was asked
        try:
            found = endpoint.codec.encode(self._model, question, outcome)
        except errors.RequestError as error:
            self.fail(error)
        except Exception:  # noqa: BLE001 - an answer that has no JSON form, or a mistake of ours
            self.fail(unexpected())
        else:
            self._end(200)
            self.respond(200, found.headers, found.body, close=False)

    def _answered(self, outcome: _Large | errors.RequestError) -> None:
        if isinstance(outcome, errors.RequestError):
            self.fail(outcome)
        else:
            self._rows = outcome.call.rows
            if self._job is not None:
                self._job.call = outcome.call
            self._end(200)
            self.respond(200, outcome.answer.headers, outcome.answer.body, close=False)

    def _end(self, status: int, error: errors.RequestError | None = None) -> None:
        self.over = True
        seconds = time.perf_counter() - self._begin
        self.endpoint.series.observe(status, seconds)
        observer = self.endpoint.observer
        if status >= _FAILED or (observer.watches and observer.chooses()):
            observer.ended(self._seen(status, seconds, error))
        # An idle connection keeps its last call, which must keep nothing of the request's size.
        self._question = self._job = None
        endpoint = self.endpoint
        if self._holds_slot:
            self._holds_slot = False
            endpoint.inference.abandon()

    def _seen(self, status: int, seconds: float, error: errors.RequestError | None) -> Seen:
        return Seen(
            self.endpoint.codec.name,
            status,
            status >= _FAILED,
            self._begin,
            seconds,
            self._rows,
            None if self._job is None else self._job.call,
            self.request_id.decode(),
            self._headers,
            "" if error is None else type(error).__name__,
        )


class _Large(NamedTuple):
    """What becomes of a request that is answered in a thread."""

    answer: Answer
    call: ModelCall


def _answer(codec: Codec, request: Request, model: ServedModel) -> _Large:
    question = codec.decode(model, request)
    model_input, rows = model.bind(question.payload, question.params)
    return _ask(codec, question, model_input, rows, model)


def _ask(
    codec: Codec, question: Question, model_input: Any, rows: int, model: ServedModel
) -> _Large:
    begin = time.perf_counter()
    prediction = model.ask(model_input, rows, question.params)
    call = ModelCall(begin, time.perf_counter(), rows, 1)
    return _Large(codec.encode(model, question, prediction), call)


class PredictionEndpoint:
    """Where the predictions of one protocol are asked for: what all its calls share.

    As an ASGI application it serves the calls that do not come by the lane.
    """

    def __init__(
        self,
        codec: Codec,
        inference: Inference,
        series: RequestSeries,
        identity: Identity,
        limits: Limits,
        observer: Observer,
    ) -> None:
        self.codec = codec
        self.observer = observer
        self.inference = inference
        self.series = series
        self.limits = limits
        self.headers: Headers = (
            (contract.HEADER_REVISION.encode(), identity.revision.encode()),
            (contract.HEADER_VERSION.encode(), identity.version.encode()),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _AsgiCall(self, scope.get("path_params", {}))
        call.start(scope["headers"], asyncio.get_running_loop().time())
        try:
            if not call.over:
                await self._read(call, receive)
            if call.response is None and call.over:
                return
            await call.responded.wait()
        except asyncio.CancelledError:
            call.leave()
            raise
        assert call.response is not None  # noqa: S101 - just waited for
        start, body = call.response
        await send(start)
        await send(body)

    async def _read(self, call: _AsgiCall, receive: Receive) -> None:
        parts = bytearray()
        more = True
        while more:
            try:
                async with asyncio.timeout_at(call.deadline):
                    message = await receive()
            except TimeoutError:
                call.fail(errors.BodyTimeout(self.limits.timeout))
                return
            if message["type"] == "http.disconnect":
                call.leave()
                return
            parts += message.get("body", b"")
            if len(parts) > self.limits.max_bytes:
                call.fail(errors.RequestTooLarge(self.limits.max_bytes))
                return
            more = message.get("more_body", False)
        call.ask(bytes(parts))


class _AsgiCall(Call):
    """A call whose bytes come and go through ASGI."""

    __slots__ = ("responded", "response")

    def __init__(self, endpoint: PredictionEndpoint, path: Mapping[str, str]) -> None:
        super().__init__(endpoint, path)
        self.responded = asyncio.Event()
        self.response: tuple[Message, Message] | None = None

    def respond(self, status: int, headers: Headers, body: bytes, *, close: bool) -> None:
        all_headers = [*self.endpoint.headers, *headers, (b"content-length", b"%d" % len(body))]
        if self.request_id:
            all_headers.append((_REQUEST_ID, self.request_id))
        if close:
            all_headers.append((b"connection", b"close"))
        self.response = (
            {"type": "http.response.start", "status": status, "headers": all_headers},
            {"type": "http.response.body", "body": body},
        )
        self.responded.set()
