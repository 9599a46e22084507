"""Whether traces are wanted, by OpenTelemetry's standard variables. Imports none of it."""

from __future__ import annotations

from collections.abc import Mapping

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


class TracesImpossible(Exception):
    """Traces are wanted, but cannot be had; the message says why in one line."""


def wants_traces(environ: Mapping[str, str]) -> bool:
    """Whether ``environ`` asks for traces over OTLP: by an exporter's name, or by an endpoint.

    Raises:
        TracesImpossible: it asks for another exporter or protocol than is spoken here.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter == "none" or not (exporter or any(environ.get(name) for name in _ENDPOINTS)):
        return False
    if exporter not in ("", "otlp"):
        raise TracesImpossible(
            f"OTEL_TRACES_EXPORTER: only otlp and none are known, not {exporter!r}"
        )
    for name in _PROTOCOLS:
        spoken = environ.get(name, "").strip()
        if spoken and spoken != _SPOKEN:
            raise TracesImpossible(f"{name}: only {_SPOKEN} is spoken, not {spoken!r}")
        if spoken:
            break
    return True
