"""B1. The promise that people buy: bad versions lose their traffic in a minute."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .base import Invariant
from .evidence import breaks
from .spec import Spec
from .subject import Subject
from .world import Event, Write

FIXED = 30.0  # scrape 10, query 5, write 10 and 5 to spare; with three slots of 10 s: 60
CRASH = 30.0
MEMORY = 60.0  # how long a fault may still work
PROCESS = {"start", "crash", "stop", "lease"}


@dataclass(slots=True)
class _Canary:
    """Seconds of traffic of one canary."""

    recent: deque[tuple[float, int, int]] = field(default_factory=deque)
    requests: int = 0
    errors: int = 0
    since: float | None = None  # when the first whole interval was a breach; every one since is
    told: bool = False


class BreachIsAnswered(Invariant):
    """B1: breach -> route weight 0 within 60 s at the defaults, 90 s across one operator crash.

    Compared: what clients got, second by second, with the bound on errors, and the share of slow answers
    that the pods were told to give with the bound on latency. A breach begins when the last ``interval``
    seconds hold half as many requests again as ``minRequests`` and errors, or slow answers, that no canary
    within its bound has, and goes on as long as that holds: slots lie anyhow. Until
    ``30 s + failureThreshold * interval`` later the route has weight 0 for the canary. Only judged while
    nothing else is broken: one crash, no other fault, metrics that answer, stable with ready pods.
    """

    name = "B1"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._canaries: dict[tuple[str, str], _Canary] = {}
        self._faults = -MEMORY
        self._crashes: list[float] = []

    def disturbed(self, event: Event) -> None:
        if event["kind"] == "crash":
            self._crashes.append(event["t"])
        elif event["kind"] == "metrics":
            if event["answer"] != "samples":
                self._faults = event["t"]
        elif event["kind"] not in PROCESS and event.get("what") != "crash":
            self._faults = event["t"]

    def served(self, event: Event, subject: Subject) -> None:
        canary, spec, t = subject.canary, subject.spec, event["t"]
        counts = event["counts"].get(canary)
        key = (subject.uid, canary)
        if not counts or not subject.weights.get(canary):
            self._canaries.pop(key, None)
            return
        seen = self._canaries.setdefault(key, _Canary())
        seen.recent.append((t, *counts))
        seen.requests, seen.errors = seen.requests + counts[0], seen.errors + counts[1]
        while seen.recent[0][0] <= t - spec.interval:
            _, requests, errors = seen.recent.popleft()
            seen.requests, seen.errors = seen.requests - requests, seen.errors - errors
        enough = seen.requests >= 1.5 * spec.min_requests
        if not enough or not _breached(spec, seen, subject.slow.get(canary, 0.0)):
            seen.since, seen.told = None, False
        elif seen.since is None:
            seen.since = t
        if seen.since is not None and not seen.told:
            self._late(t, subject, seen)

    def _late(self, t: float, subject: Subject, seen: _Canary) -> None:
        spec, since = subject.spec, seen.since
        if since is None or spec.on_breach != "Rollback" or self._faults > since - MEMORY:
            return
        if subject.deleted is not None or not self._stable_ready(subject):
            seen.since = None
            return
        crashes = sum(at > since - CRASH for at in self._crashes)
        limit = FIXED + spec.failure_threshold * spec.interval + CRASH * crashes
        if crashes > 1 or t - since <= limit:
            return
        seen.told = True
        weight = subject.weights.get(subject.canary, 0)
        text = (
            f"{subject.canary} still has weight {weight}, {t - since:.1f} s after its breach began"
        )
        self.fail(t, subject, f"{text} (at most {limit:g} s with {crashes} crashes)")

    def _stable_ready(self, subject: Subject) -> bool:
        deployment = self.world.child(subject, "deployments", subject.stable) or {}
        return bool((deployment.get("status") or {}).get("readyReplicas"))

    def routed(self, write: Write, subject: Subject) -> None:
        for uid, revision in list(self._canaries):
            if uid == subject.uid and not subject.weights.get(revision):
                del self._canaries[uid, revision]


def _breached(spec: Spec, seen: _Canary, slow: float) -> bool:
    """Whether these requests prove that a bound is broken, whatever statistics one prefers."""
    if spec.error_bound is not None and breaks(seen.errors, seen.requests, spec.error_bound):
        return True
    expected = int(0.5 * slow * seen.requests)  # half of what is to be expected are there for sure
    return spec.slow_bound is not None and breaks(expected, seen.requests, spec.slow_bound)
