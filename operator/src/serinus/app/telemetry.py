"""Metrics of the operator itself, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serinus.app.health import Health, loop_time
from serinus.app.lease import Lease
from serinus.app.story import Story
from serinus.app.workqueue import WorkQueue
from serinus.reconcile.deps import Key

_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WRITES = frozenset({"apply", "patch", "create", "delete"})


class Telemetry:
    """What workers, resync and ports report to. Made in a running event loop, as :class:`Health` is."""

    def __init__(self, clock: Callable[[], float] = loop_time) -> None:
        self.registry = CollectorRegistry()
        self.health = Health(clock)
        self.story = Story(self.registry)
        self._reconcile_seconds = self._histogram("reconcile_seconds", "Duration of one reconcile.")
        self._results = self._counter("reconciles", "Reconciles by how they ended.", "result")
        self._retries = self._counter("retries", "Reconciles that are tried again.", "reason")
        self._quarantined = self._gauge(
            "poison_objects", "Objects of which every reconcile crashes."
        )
        self._lag = self._histogram("loop_lag_seconds", "Delay of the event loop.", _LAG_BUCKETS)
        self._resyncs = self._counter("resyncs", "Listings of every object.", "result")
        self._objects = self._gauge("objects", "Objects that the last resync found.")
        self._requests = self._counter(
            "api_requests", "Requests to the Kubernetes API.", "verb", "resource", "code"
        )
        self._writes = self._counter("writes", "Writes that the API server took.", "resource")
        self._request_seconds = Histogram(
            "serinus_operator_api_request_seconds",
            "Duration of requests to the Kubernetes API.",
            ("verb",),
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )
        age = self._gauge("resync_age_seconds", "Since the last resync that went through.")
        age.set_function(self.health.resync_age)

    @contextmanager
    def reconciling(self) -> Iterator[None]:
        """Around one reconcile: its time is measured, and told while it runs."""
        with self.health.reconciling() as seconds:
            try:
                yield
            finally:
                self._reconcile_seconds.observe(seconds())

    def reconciled(self, result: str) -> None:
        """One reconcile ended like this."""
        self._results.labels(result).inc()

    def retried(self, reason: str) -> None:
        """An object is looked at again because of a failure."""
        self._retries.labels(reason).inc()

    def quarantined(self, objects: int) -> None:
        """This many objects crash every reconcile."""
        self._quarantined.set(objects)

    def lagged(self, seconds: float) -> None:
        """The event loop came around, this much later than it should."""
        self.health.ticked()
        self._lag.observe(seconds)

    def resynced(self, objects: int) -> None:
        """A resync went through and found this many objects."""
        self.health.resynced()
        self._objects.set(objects)
        self._resyncs.labels("ok").inc()

    def resync_failed(self, *, answered: bool) -> None:
        """A resync did not go through; ``answered``: the API server did say something."""
        if answered:
            self.health.alive()
        self._resyncs.labels("failed").inc()

    def request(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """One request to the Kubernetes API, see ``kube.metered``."""
        self._requests.labels(verb, resource, code).inc()
        self._request_seconds.labels(verb).observe(seconds)
        if verb in _WRITES and code == "200":
            self._writes.labels(resource).inc()

    def watch_queue(self, queue: WorkQueue[Key]) -> None:
        """Tells of the queue at every scrape."""
        depth = self._gauge("queue_depth", "Objects that are due and wait for a worker.")
        depth.set_function(lambda: queue.depth()[0])
        wait = self._gauge("queue_wait_seconds", "How long the object that is due longest waits.")
        wait.set_function(lambda: queue.depth()[1])

    def watch_lease(self, lease: Lease | None) -> None:
        """Tells of the Lease at every scrape; without one, this operator leads."""
        leader = self._gauge("leader", "1: this operator leads; 0: it stands by.")
        epoch = self._gauge("epoch", "Of the Lease when this operator leads; 0 without a Lease.")
        if lease is None:
            leader.set(1)
            return
        leader.set_function(lambda: float(lease.fresh()))
        epoch.set_function(lambda: lease.epoch)
        age = self._gauge("lease_age_seconds", "Since the Lease was last renewed by this operator.")
        age.set_function(lambda: lease.age() if lease.leading else float("nan"))

    def watch_skew(self, skew: Callable[[], timedelta]) -> None:
        """Tells of the clock at every scrape."""
        gauge = self._gauge(
            "clock_skew_seconds", "By which our clock is ahead of the API server's."
        )
        gauge.set_function(lambda: skew().total_seconds())

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"serinus_operator_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(f"serinus_operator_{name}", what, registry=self.registry)

    def _histogram(
        self, name: str, what: str, buckets: tuple[float, ...] | None = None
    ) -> Histogram:
        full = f"serinus_operator_{name}"
        chosen = buckets or Histogram.DEFAULT_BUCKETS
        return Histogram(full, what, buckets=chosen, registry=self.registry)
