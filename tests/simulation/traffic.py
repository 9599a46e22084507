"""Clients' requests, second by second, as the gateway's live weights and the ready pods have it."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from random import Random
from typing import TYPE_CHECKING

from serinus.api import names

from .pods import is_ready, version_of
from .store import Address

if TYPE_CHECKING:
    from .world import World


MANY = 12.0  # expected successes


@dataclass(slots=True)
class Counters:
    """What a pod's process has counted since it started."""

    revision: str
    model: str
    namespace: str
    ok: int = 0
    errors: int = 0
    slow: int = 0


def binomial(rng: Random, n: int, share: float) -> int:
    """How many of ``n`` independent trials succeed: exact for few, by the normal distribution for many."""
    if share <= 0.0 or n <= 0:
        return 0
    if share >= 1.0:
        return n
    if share > 0.5:
        return n - binomial(rng, n, 1.0 - share)
    if n * share > MANY:
        guess = round(rng.gauss(n * share, sqrt(n * share * (1.0 - share))))
        return min(n, max(0, guess))
    scale, count, at = log(1.0 - share), 0, 0
    while True:
        at += int(log(1.0 - rng.random()) / scale) + 1
        if at > n:
            return count
        count += 1


class Traffic:
    """One tick per simulated second. ``rps`` may be changed while it runs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rps = world.pace.rps
        self.counters: dict[str, Counters] = {}  # uid of the pod -> counts
        self.served: dict[str, list[int]] = {}  # route -> [requests, errors], for expectations
        world.loop.outside(1.0, self._tick)

    def restart_one(self, revision: str) -> None:
        """The process of one of a revision's pods begins to count from 0 again."""
        for found in self.counters.values():
            if found.revision == revision and found.ok:
                found.ok = found.errors = found.slow = 0
                return

    def _tick(self) -> None:
        self._world.loop.outside(1.0, self._tick)
        if self.rps:
            for (namespace, name), backends in self._world.gateway.programmed.items():
                self._serve(namespace, name, backends)

    def _serve(self, namespace: str, name: str, backends: tuple[tuple[str, int], ...]) -> None:
        world = self._world
        total = sum(weight for _, weight in backends)
        left, rest = self.rps, total
        counts: dict[str, list[int]] = {}
        for service, weight in backends:
            share = binomial(world.rng, left, weight / rest) if rest else 0
            left, rest = left - share, rest - weight
            if share:
                revision = service.rpartition("-")[2]
                requests, errors = counts.setdefault(revision, [0, 0])
                failed = self._answer(namespace, service, share)
                counts[revision] = [requests + share, errors + failed]
        if counts:
            world.log("traffic", object=f"{namespace}/{name}", counts=counts)
            sums = self.served.setdefault(name, [0, 0])
            sums[0] += sum(c[0] for c in counts.values())
            sums[1] += sum(c[1] for c in counts.values())

    def _answer(self, namespace: str, service: str, requests: int) -> int:
        """The pods behind a Service answer; returns how many of the requests failed."""
        world = self._world
        slices = world.store.get(Address("endpointslices", namespace, f"{service}-1"))
        pods = []
        for endpoint in (slices or {}).get("endpoints") or ():
            pod = world.store.get(Address("pods", namespace, endpoint["targetRef"]["name"]))
            if endpoint["conditions"]["ready"] and pod is not None:
                pods.append(pod)
        if not pods:
            return requests  # 503 of the gateway; no pod counts it
        failed = 0
        for number, pod in enumerate(pods):
            part = (requests + number) // len(pods)
            meta = pod["metadata"]
            counted = self.counters.get(meta["uid"])
            if counted is None:
                labels = meta["labels"]
                counted = self.counters[meta["uid"]] = Counters(
                    labels[names.LABEL_REVISION], labels[names.LABEL_NAME], namespace
                )
            truth = world.truth(version_of(pod))
            bad = binomial(world.rng, part, truth.errors) if is_ready(pod) else part
            counted.ok += part - bad
            counted.errors += bad
            counted.slow += binomial(world.rng, part, truth.slow)
            failed += bad
        return failed
