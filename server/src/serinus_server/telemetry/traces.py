"""OpenTelemetry traces, where the standard variables ask for them.

This module is imported only then: the SDK takes 0.2 s of start-up and some memory. Spans are made when
their request has ended, with the times that were taken, so that requests carry nothing along.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serinus_server import contract
from serinus_server.telemetry.seen import ModelCall, Seen

_CARRIERS = frozenset({b"traceparent", b"tracestate"})
_CLIENT_GONE = 499
_GRPC_METHOD = "inference.GRPCInferenceService/ModelInfer"


class Traces:
    """Makes spans and hands them to the SDK, which sends them from a thread of its own.

    The SDK reads the standard variables itself: endpoint, headers, sampler, resource. What it cannot
    send in time it drops.
    """

    def __init__(self, model: str, version: str, revision: str) -> None:
        # Its warnings tell about each attempt; a collector that is away would fill the log.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        resource = _resource(model, version, revision)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("serinus")
        self._propagator = TraceContextTextMapPropagator()
        self._rpc = f"/v2/models/{model}/infer"

    def record(self, seen: Seen, epoch: float) -> str:
        """A span for the request, and one for the call of the model; the trace's id."""
        begin = epoch + seen.begin
        name, attributes = self._describe(seen)
        span = self._tracer.start_span(
            name,
            context=self._parent(seen),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=_nanoseconds(begin),
        )
        if span.is_recording():
            if seen.failed:
                span.set_status(Status(StatusCode.ERROR, seen.error or None))
            if seen.call is not None:
                self._record_call(span, seen.call, epoch)
            span.end(_nanoseconds(begin + seen.seconds))
        return f"{span.get_span_context().trace_id:032x}"

    def close(self, seconds: float) -> None:
        """Send what waits. A collector that does not answer is left after ``seconds``."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(seconds)

    def _record_call(self, parent: Span, call: ModelCall, epoch: float) -> None:
        """The first request's span of a call stands for it; those of the others link to it."""
        first = call.span
        span = self._tracer.start_span(
            "predict",
            context=set_span_in_context(parent),
            attributes={"serinus.batch.rows": call.rows, "serinus.batch.requests": call.requests},
            links=[Link(first)] if isinstance(first, SpanContext) else None,
            start_time=_nanoseconds(epoch + call.begin),
        )
        if first is None:
            call.span = span.get_span_context()
        span.end(_nanoseconds(epoch + call.end))

    def _parent(self, seen: Seen) -> Context:
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in seen.headers
            if name in _CARRIERS
        }
        return self._propagator.extract(carrier, Context()) if carrier else Context()

    def _describe(self, seen: Seen) -> tuple[str, Mapping[str, Any]]:
        """Name and attributes of a request's span, by OpenTelemetry's semantic conventions."""
        attributes: dict[str, Any] = {"serinus.rows": seen.rows}
        if seen.request_id:
            attributes["serinus.request_id"] = seen.request_id
        if seen.failed:
            attributes["error.type"] = str(seen.code)
        if seen.protocol == contract.PROTOCOL_GRPC:
            attributes |= {
                "rpc.system.name": "grpc",
                "rpc.method": _GRPC_METHOD,
                "rpc.response.status_code": str(seen.code),
            }
            return _GRPC_METHOD, attributes
        route = {"v2": self._rpc, "mlflow": "/invocations"}.get(seen.protocol, "/predict")
        attributes |= {"http.request.method": "POST", "http.route": route, "url.scheme": "http"}
        if seen.code != _CLIENT_GONE:
            attributes["http.response.status_code"] = seen.code
        return f"POST {route}", attributes


def _resource(model: str, version: str, revision: str) -> Resource:
    """Who the spans come from; the standard variables have the last word."""
    own = {
        "service.name": "serinus-server",
        "serinus.model": model,
        "serinus.model.version": version,
        "serinus.revision": revision,
    }
    told = Resource.create()
    name = str(told.attributes.get("service.name", ""))
    named = not name.startswith("unknown_service")
    return Resource(own).merge(told if named else told.merge(Resource(own)))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
