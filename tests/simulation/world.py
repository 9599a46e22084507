"""One run's world: the store, its controllers, traffic, users, operator processes, and the log."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serinus.api import names
from serinus.core.revision import short
from serinus.ports import ApiError, NotFound

from .client import READS, Call
from .collector import Collector
from .controllers import Deployments, Endpoints, Gateway
from .host import Host, Setup
from .loop import OUTSIDE, VirtualLoop
from .metrics import Prometheus
from .registry import ModelRegistry
from .store import Address, Object, Store
from .traffic import Traffic

if TYPE_CHECKING:
    from .faults import Faults

NAMESPACE = "ml"
POLL = 0.25


@dataclass(slots=True)
class Truth:
    """How the pods of one model version really behave.

    Attributes:
        errors: share of requests answered with 5xx.
        slow: share of requests slower than every bound.
        start: "ok", or why its pods never get ready: "image", "crash", "quota", "hang".
        load: seconds until a pod is ready.
    """

    errors: float = 0.0
    slow: float = 0.0
    start: str = "ok"
    load: float = 1.0


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


class GaveUp(Exception):
    """What a scenario waited for did not happen in time."""


@dataclass(slots=True)
class World:
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
            case "apply":
                return self.store.apply(at, body)
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

    # --- users --------------------------------------------------------------------------------

    def apply(self, name: str, spec: Mapping[str, Any]) -> None:
        """A person writes the spec."""
        at = Address(names.PLURAL, NAMESPACE, name)
        self.log("user", what="apply", object=f"{NAMESPACE}/{name}", spec=spec)
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "spec": spec}
        live = self.store.get(at)
        if live is None:
            self.write("user", "create", at, body)
        else:
            gone = dict.fromkeys(k for k in live["spec"] if k not in spec)
            self.write("user", "patch", at, {"spec": {**spec, **gone}})

    def delete(self, name: str, *, foreground: bool = False) -> None:
        """A person deletes the object."""
        at = Address(names.PLURAL, NAMESPACE, name)
        self.log("user", what="delete", object=f"{NAMESPACE}/{name}")
        if foreground:
            self.write("user", "patch", at, {"metadata": {"finalizers": ["foregroundDeletion"]}})
        self.write("user", "delete", at)

    def command(self, name: str, what: str, revision: str | None) -> None:
        """A person sets, or with None removes, a command annotation."""
        at = Address(names.PLURAL, NAMESPACE, name)
        self.log("user", what=what, object=f"{NAMESPACE}/{name}", revision=revision)
        annotation = {f"{names.GROUP}/{'pause' if what == 'resume' else what}": revision}
        self.write("user", "patch", at, {"metadata": {"annotations": annotation}})

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

    # --- what people and scenarios see ----------------------------------------------------------

    def cr(self, name: str = "churn") -> Object | None:
        return self.store.get(Address(names.PLURAL, NAMESPACE, name))

    def stage(self, name: str = "churn") -> str:
        """Stage of the rollout; empty when there is none."""
        return str((self.status(name).get("rollout") or {}).get("stage", ""))

    def status(self, name: str = "churn") -> Mapping[str, Any]:
        found = self.cr(name)
        return (found or {}).get("status") or {}

    def weights(self, name: str = "churn") -> dict[str, int]:
        """Model version -> weight in the stored route."""
        route = self.store.get(Address("httproutes", NAMESPACE, name))
        if route is None:
            return {}
        out = {}
        for ref in route["spec"]["rules"][0]["backendRefs"]:
            found = self.store.get(Address("deployments", NAMESPACE, ref["name"]))
            version = version_of(found["spec"]["template"]) if found else ref["name"]
            out[version] = ref.get("weight", 1)
        return out

    def revision(self, version: str, name: str = "churn") -> str:
        """The full revision of the arm that serves a model version; empty when there is none."""
        for arm in ("canary", "stable"):
            found = self.status(name).get(arm)
            if found and found.get("resolvedVersion") == version:
                return str(found["revision"])
        return ""

    def deploy_operator(self, setup: Setup) -> None:
        """Stops the operator's processes cleanly and starts others, as an upgrade does."""
        self.setup = setup
        for host in self.hosts:
            if host.alive:
                host.stop()
        for _ in range(setup.replicas):
            Host(self, setup)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], bool], limit: float, what: str) -> None:
        """Waits until something is so.

        Raises:
            GaveUp: it was not so within ``limit`` seconds of a world without faults.
        """
        end = max(self.now, self.faults.calm_at) + limit
        while not condition():
            if self.now > end:
                raise GaveUp(f"{what} did not happen within {limit:g} s")
            await asyncio.sleep(POLL)


def version_of(template: Mapping[str, Any]) -> str:
    """The model version that a pod template serves."""
    for pair in template["spec"]["containers"][0].get("env") or ():
        if pair["name"] == "SERINUS_MODEL_VERSION":
            return str(pair["value"])
    return ""


__all__ = [
    "NAMESPACE",
    "OUTSIDE",
    "GaveUp",
    "NotFound",
    "Pace",
    "Truth",
    "World",
    "short",
    "version_of",
]
