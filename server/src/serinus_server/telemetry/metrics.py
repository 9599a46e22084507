"""The server's metrics, exactly as the contract names them.

All series of live traffic exist from the start with the value 0, so that the very first error is
an increase that Prometheus can see. Children are bound here, once: a request touches no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from serinus_server import contract

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CODES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")  # by the first digit of an HTTP status
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class RequestSeries:
    """The bound series of one protocol and one kind of traffic."""

    by_code: dict[str, Counter]
    duration: Histogram

    def observe(self, status: int, seconds: float) -> None:
        """Count one request by the class of its HTTP status, with its duration."""
        self.by_code[_CODES[status // 100]].inc()
        self.duration.observe(seconds)

    def observe_code(self, code: str, seconds: float) -> None:
        """Count one gRPC call by its code's name, with its duration."""
        self.by_code[code].inc()
        self.duration.observe(seconds)


class Metrics:
    """One server's registry and its bound series."""

    def __init__(self, model: str, revision: str, latency_bounds: tuple[float, ...] = ()) -> None:
        # Ages of series are no part of the contract, and would double its size.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)  # memory, CPU and open files, under usual names
        self._model, self._revision = model, revision
        own = (contract.LABEL_MODEL, contract.LABEL_REVISION)
        request = (*own, contract.LABEL_PROTOCOL)
        self._requests = Counter(
            contract.METRIC_REQUESTS, "Prediction requests answered.",
            (*request, contract.LABEL_CODE, contract.LABEL_TRAFFIC), registry=self.registry,
        )  # fmt: skip
        self._duration = Histogram(
            contract.METRIC_DURATION, "Seconds from a prediction request to its answer.",
            (*request, contract.LABEL_TRAFFIC), registry=self.registry,
            buckets=sorted({*contract.DEFAULT_BUCKETS, *latency_bounds}),
        )  # fmt: skip
        self._rows = Counter(
            contract.METRIC_ROWS, "Rows predicted.", own, registry=self.registry
        ).labels(model, revision)
        self._batch_size = Histogram(
            contract.METRIC_BATCH_SIZE, "Rows in one call of the model.", own,
            registry=self.registry, buckets=_BATCH_BUCKETS,
        ).labels(model, revision)  # fmt: skip
        self._in_flight = Gauge(
            contract.METRIC_IN_FLIGHT, "Predictions in flight.", own, registry=self.registry
        ).labels(model, revision)
        self._info = Gauge(
            contract.METRIC_MODEL_INFO, "The model that is served; always 1.",
            (*own, "uri", "version", "digest", "flavor"), registry=self.registry,
        )  # fmt: skip
        self._load_seconds = Gauge(
            contract.METRIC_LOAD_SECONDS, "Seconds from start to ready.", own,
            registry=self.registry,
        )  # fmt: skip
        self.live = {
            protocol: self._series(protocol, contract.TRAFFIC_LIVE)
            for protocol in contract.PROTOCOLS
        }
        # The logged example has the form of MLflow's own protocol.
        self.warmup = self._series("mlflow", contract.TRAFFIC_WARMUP)

    def grpc(self) -> RequestSeries:
        """The live series of gRPC, which exist from this call on."""
        return self._series(contract.PROTOCOL_GRPC, contract.TRAFFIC_LIVE, contract.GRPC_CODES)

    def watch_in_flight(self, count: Callable[[], int]) -> None:
        """Ask ``count`` at every scrape, so that requests need not tell it twice each."""
        self._in_flight.set_function(count)

    def observe_rows(self, rows: int) -> None:
        """Count one call of the model, with its rows."""
        self._rows.inc(rows)
        self._batch_size.observe(rows)

    def model_loaded(self, *, uri: str, version: str, digest: str, flavor: str) -> None:
        """Say which model is served."""
        self._info.labels(self._model, self._revision, uri, version, digest, flavor).set(1)

    def model_ready(self, seconds: float) -> None:
        """Say how long it took from start to ready."""
        self._load_seconds.labels(self._model, self._revision).set(seconds)

    def render(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self.registry)

    def _series(
        self, protocol: str, traffic: str, codes: Sequence[str] = contract.CODES
    ) -> RequestSeries:
        labels = (self._model, self._revision, protocol)
        return RequestSeries(
            by_code={code: self._requests.labels(*labels, code, traffic) for code in codes},
            duration=self._duration.labels(*labels, traffic),
        )
