"""Spans as an OTLP collector gets them, and what happens when there is none."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.otlp import Collector

from serinus_server.telemetry.observer import Observer
from serinus_server.telemetry.seen import ModelCall, Seen
from serinus_server.telemetry.traces import Traces
from serinus_server.telemetry.tracing import TracesImpossible, wants_traces

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    yield collector
    collector.close()


def seen(code: int | str = 200, protocol: str = "v2", **others: Any) -> Seen:
    failed = isinstance(code, int) and code >= 500
    return Seen(protocol, code, failed, time.perf_counter(), 0.25, **others)


def tell(*requests: Seen, seconds: float = 10.0) -> None:
    observer = Observer(0, None, Traces("churn", "3", "abc"))
    for request in requests:
        observer.ended(request)
    observer.close(seconds)


def values(attributes: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value")
        for each in attributes
    }


def test_a_request_is_a_span_of_the_callers_trace_and_the_model_call_its_child(
    collector: Collector,
) -> None:
    begin = time.perf_counter()
    headers = [
        (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()),
        (b"tracestate", b"vendor=1"),
    ]
    tell(seen(rows=2, call=ModelCall(begin, begin + 0.125, 2, 1), headers=headers))
    child, request = sorted(collector.spans(), key=lambda span: span.name == "predict")[::-1]
    assert (request.name, request.kind) == ("POST /v2/models/churn/infer", Span.SPAN_KIND_SERVER)
    assert request.trace_id.hex() == child.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert request.trace_state == "vendor=1"
    assert child.parent_span_id == request.span_id
    assert not child.links
    assert abs(request.end_time_unix_nano - request.start_time_unix_nano - 250e6) < 1e4
    assert abs(child.end_time_unix_nano - child.start_time_unix_nano - 125e6) < 1e4
    assert abs(request.start_time_unix_nano / 1e9 - time.time()) < 60
    assert values(request.attributes) == {
        "http.request.method": "POST", "http.route": "/v2/models/churn/infer",
        "http.response.status_code": 200, "url.scheme": "http", "serinus.rows": 2,
    }  # fmt: skip
    assert values(child.attributes) == {"serinus.batch.rows": 2, "serinus.batch.requests": 1}
    resource = values(collector.requests[0].resource_spans[0].resource.attributes)
    assert resource["service.name"] == "serinus-server"
    assert (resource["serinus.model"], resource["serinus.revision"]) == ("churn", "abc")


def test_requests_that_were_asked_together_are_linked_by_the_call(collector: Collector) -> None:
    now = time.perf_counter()
    call = ModelCall(now, now + 0.01, 3, 3)
    tell(*(seen(rows=1, call=call) for _ in range(3)))
    first, *others = [span for span in collector.spans() if span.name == "predict"]
    assert not first.links
    assert len({span.trace_id for span in (first, *others)}) == 3
    for span in others:
        assert [(link.trace_id, link.span_id) for link in span.links] == [
            (first.trace_id, first.span_id)
        ]


def test_failures_are_errors_and_refusals_are_not(collector: Collector) -> None:
    tell(
        seen(500, error="PredictionFailed"), seen(422, error="InvalidInput"), seen(499),
        seen("OK", protocol="grpc"),
    )  # fmt: skip
    failed, refused, gone, grpc = collector.spans()
    assert (failed.status.code, failed.status.message) == (
        Status.STATUS_CODE_ERROR,
        "PredictionFailed",
    )
    assert values(failed.attributes)["error.type"] == "500"
    assert refused.status.code == gone.status.code == Status.STATUS_CODE_UNSET
    assert "http.response.status_code" not in values(gone.attributes)
    assert grpc.name == "inference.GRPCInferenceService/ModelInfer"
    assert values(grpc.attributes)["rpc.response.status_code"] == "OK"


def test_the_callers_wish_not_to_be_sampled_is_respected(collector: Collector) -> None:
    tell(
        seen(headers=[(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())]),
        seen(headers=[(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]),
        seen(headers=[(b"traceparent", b"nonsense")]),
    )
    sampled, own = collector.spans()
    assert sampled.trace_id.hex() == TRACE
    assert own.trace_id.hex() != TRACE
    assert not own.parent_span_id


def test_the_standard_variables_choose_sampler_and_name(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "pricing")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tell(seen(), seen(headers=[(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]))
    (span,) = collector.spans()
    assert span.trace_id.hex() == TRACE
    resource = values(collector.requests[0].resource_spans[0].resource.attributes)
    assert resource["service.name"] == "pricing"
    assert resource["serinus.model"] == "churn"


def test_a_collector_that_does_not_answer_holds_up_nobody(collector: Collector) -> None:
    collector.answer.clear()
    begin = time.monotonic()
    tell(*(seen() for _ in range(3000)), seconds=0.5)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_traces_are_made_where_the_standard_variables_ask_for_them(
    environ: dict[str, str], wanted: bool
) -> None:
    assert wants_traces(environ) is wanted


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_cannot_be_had_is_told(environ: dict[str, str]) -> None:
    with pytest.raises(TracesImpossible, match="OTEL_"):
        wants_traces(environ)


def test_a_server_without_traces_imports_nothing_of_them() -> None:
    code = (
        "import sys, serinus_server.serve; print([m for m in sys.modules if 'opentelemetry' in m])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
