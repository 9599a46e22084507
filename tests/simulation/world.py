"""One run's world: the store, its controllers, traffic, users, operator processes, and the log."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serinus.api import names
from serinus.ports import ApiError

from .checker import Checker, Violation
from .client import READS, Call
from .collector import Collector
from .controllers import Deployments, Endpoints, Gateway
from .host import Host, Setup
from .loop import VirtualLoop
from .metrics import Prometheus
from .people import NAMESPACE, People
from .pods import Truth, version_of
from .registry import ModelRegistry
from .store import Address, Object, Store
from .traffic import Traffic

if TYPE_CHECKING:
    from .faults import Faults


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the world is, in seconds, and how busy."""

    resync: float = 5.0
    scrape: float = 1.0
    scrape_lag: float = 0.05
    rps: int = 60
    gateway: float = 0.2
    controller: float = 0.1
    collector: float = 0.5
    restart: float = 1.0


@dataclass(slots=True)
class World(People):
    """Everything of one run. The seed decides all that is random."""

    seed: int
    pace: Pace
    faults: Faults
    loop: VirtualLoop
    rng: random.Random = field(init=False)
    events: list[dict[str, Any]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    setup: Setup = field(default_factory=Setup)  # of the operator processes that are started next
    calls: int = 0
    passes: int = 0
    hosts: list[Host] = field(default_factory=list)
    truths: dict[str, Truth] = field(default_factory=dict)
    violations: list[tuple[str, float, str]] = field(default_factory=list)
    _checker: Checker | None = None
    _judged: int = 0  # events
    last_write: float = 0.0  # when an operator last tried to write
    store: Store = field(init=False)
    registry: ModelRegistry = field(init=False)
    deployments: Deployments = field(init=False)
    endpoints: Endpoints = field(init=False)
    gateway: Gateway = field(init=False)
    traffic: Traffic = field(init=False)
    prometheus: Prometheus = field(init=False)
    pods_silent_until: float = 0.0  # until then no pod can be scraped directly

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311
        self.store = Store(self.loop.time)
        self.store.namespaces[NAMESPACE] = "Active"
        self.registry = ModelRegistry(self)
        self.endpoints = Endpoints(self)
        self.deployments = Deployments(self)
        self.gateway = Gateway(self)
        Collector(self)
        self.traffic = Traffic(self)
        self.prometheus = Prometheus(self)
        self.store.watch(self._watched)

    @property
    def now(self) -> float:
        return self.loop.time()

    def latency(self) -> float:
        """Seconds of one way between client and API server."""
        return 0.001 + 0.004 * self.rng.random()

    def truth(self, version: str) -> Truth:
        return self.truths.setdefault(version, Truth())

    # --- the log ------------------------------------------------------------------------------

    def log(self, kind: str, **fields: Any) -> None:
        self.events.append({"t": round(self.loop.time(), 6), "kind": kind, **fields})

    def judge(self) -> list[Violation]:
        """What the log up to now breaks, as the checker sees it."""
        if self._checker is None:
            self._checker = Checker(elects=self.setup.lease)
        for event in self.events[self._judged :]:
            self._checker.feed(event)
        self._judged = len(self.events)
        return self._checker.found

    def violation(self, invariant: str, message: str) -> None:
        """A scenario has seen what must not be."""
        self.violations.append((invariant, self.now, message))

    def fault(self, what: str, **fields: Any) -> None:
        """Counts and logs one injected fault."""
        self.counted[what] += 1
        self.log("fault", what=what, **fields)

    def log_request(self, call: Call, code: int, result: Any, *, committed: bool) -> None:
        if call.verb not in READS and call.at.plural != "leases":
            self.last_write = self.loop.time()
        self._request(
            call.host.name, call.host.epoch, call.number, call.verb, call.at, call.sub, call.body,
            code, result, committed=committed,
        )  # fmt: skip

    def _request(
        self,
        actor: str,
        epoch: int,
        number: int,
        verb: str,
        at: Address,
        sub: str,
        body: Any,
        code: int,
        result: Any,
        *,
        committed: bool,
    ) -> None:
        self.events.append({
            "t": round(self.loop.time(), 6), "kind": "request", "actor": actor, "epoch": epoch,
            "pass": number, "verb": verb, "resource": at.plural, "sub": sub,
            "namespace": at.namespace, "name": at.name, "body": body, "code": code,
            "committed": committed, "result": result,
        })  # fmt: skip

    # --- the API server -----------------------------------------------------------------------

    def perform(self, call: Call) -> Any:
        """Does what an operator's call asks for, on the store or on a replica that lags."""
        if call.verb in READS:
            store = self.faults.replica(call) or self.store
            if call.verb == "list":
                return store.list(call.at.plural, call.at.namespace or None, call.body)
            found = store.get(call.at)
            return [found] if found is not None else []
        return self._write(call.verb, call.at, call.body, call.sub)

    def write(
        self, actor: str, verb: str, at: Address, body: Any = None, sub: str = ""
    ) -> Object | None:
        """A write of somebody who is no operator; None when the API server refuses it."""
        code, result = 200, None
        try:
            result = self._write(verb, at, body, sub)
        except ApiError as e:
            code = e.status
        self._request(actor, 0, 0, verb, at, sub, body, code, result, committed=code == 200)
        return result

    def _write(self, verb: str, at: Address, body: Any, sub: str) -> Object:
        match verb:
            case "create":
                return self.store.create(at, body)
            case "patch":
                return self.store.merge(at, body, sub)
            case "delete":
                return self.store.delete(at, body or {})
        raise ValueError(verb)

    def _watched(self, event: str, at: Address, item: Object) -> None:
        if event == "DELETED":
            self.log(
                "gone",
                resource=at.plural,
                namespace=at.namespace,
                name=at.name,
                uid=item["metadata"]["uid"],
            )
        for host in self.hosts:
            host.watched(event, at, item)

    def set_truth(self, version: str, **fields: Any) -> None:
        """From now on the version's pods behave like this."""
        truth = self.truth(version)
        for key, value in fields.items():
            setattr(truth, key, value)
        self.log_truth(version)
        self.deployments.truth_changed(version)

    def log_truth(self, version: str) -> None:
        truth = self.truth(version)
        for at, item in self.store.all():
            if at.plural == "deployments" and version_of(item["spec"]["template"]) == version:
                meta = item["metadata"]["labels"]
                self.log(
                    "truth",
                    object=f"{at.namespace}/{meta.get(names.LABEL_NAME)}",
                    revision=meta.get(names.LABEL_REVISION),
                    errors=truth.errors,
                    slow=truth.slow,
                    ready=truth.start == "ok",
                )
