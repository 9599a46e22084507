"""Logs made by hand: a few lines of a story, with every fact in the place where the store has it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.simulation.checker import Violation, check

BREACH = {"reason": "MetricsBreached", "at": "2026-01-01T00:00:50Z", "message": "bad"}
A, B, C = ("v1:" + letter * 64 for letter in "abc")
KEY = "ml/churn"
SPEC = {
    "model": {"uri": "models:/churn/1"},
    "server": {"replicas": 2},
    "rollout": {
        "steps": [{"weight": 10, "hold": "30s"}, {"weight": 50, "hold": "30s"}],
        "scaleDownDelay": "20s",
    },
    "analysis": {"interval": "10s", "failureThreshold": 3, "minRequests": 50},
}
OWNER = {"controller": True, "uid": "u1", "kind": "ModelDeployment", "name": "churn"}


def short(revision: str) -> str:
    return revision[3:11]


def arm(revision: str, weight: int, **more: Any) -> dict[str, Any]:
    """A revision as the status has it."""
    return {
        "revision": revision,
        "modelURI": f"models:/churn/{short(revision)}",
        "digest": f"sha256:{revision[3:]}",
        "image": "server:1",
        "requestedWeight": weight,
        **more,
    }


class Log:
    """Writes events; ``t`` is the time of the next one. Objects are kept as the store would."""

    def __init__(self, actor: str = "operator-1") -> None:
        self.t = 0.0
        self.events: list[dict[str, Any]] = []
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.actor = actor
        self.number = 0
        self.version = 0
        self.epoch = 0
        self.began = -1.0  # when the latest pass did
        self.event("start", actor=actor, clock_offset=0.0)

    def check(self) -> list[Violation]:
        return check(self.events)

    def broken(self) -> set[str]:
        """The invariants that the log breaks."""
        return {violation.invariant for violation in self.check()}

    def told(self, invariant: str) -> str:
        """What the checker says of the only violation of this invariant."""
        (only,) = [v for v in self.check() if v.invariant == invariant]
        assert only.object == KEY
        return only.message

    def event(self, kind: str, **fields: Any) -> None:
        self.events.append({"t": self.t, "kind": kind, **fields})

    def wait(self, seconds: float) -> Log:
        self.t = round(self.t + seconds, 6)
        return self

    # --- writes -------------------------------------------------------------------------------

    def write(self, verb: str, resource: str, name: str, after: Any, **more: Any) -> None:
        """A write by ``actor`` (default the operator) after which the object is ``after``."""
        before = self.objects.get((resource, name))
        if after is not None:
            self.version += 1
            after = deepcopy(after)
            meta = after.setdefault("metadata", {})
            old = (before or {}).get("metadata", {})
            meta.setdefault("uid", old.get("uid") or f"{resource}-{self.version}")
            meta |= {"name": name, "namespace": "ml", "resourceVersion": str(self.version)}
            self.objects[resource, name] = after
        elif more.get("committed", True):
            self.objects.pop((resource, name), None)
        actor = more.pop("actor", self.actor)
        operator = actor.startswith("operator")
        fields = {
            "actor": actor,
            "epoch": self.epoch if operator else 0,
            "pass": self.number if operator else 0,
            "verb": verb,
            "resource": resource,
            "sub": "",
            "namespace": "ml",
            "name": name,
            "body": after,
            "code": 200,
            "committed": True,
            "result": after,
            **more,
        }
        self.event("request", **fields)

    def user(self, spec: dict[str, Any] | None = None, uid: str = "u1", **annotations: str) -> Log:
        """A person writes the spec, or annotations ``serinus.dev/<name>``."""
        live = self.objects.get(("modeldeployments", "churn")) or {
            "metadata": {"uid": uid, "generation": 0},
            "spec": {},
        }
        live = deepcopy(live)
        if spec is not None and spec != live["spec"]:
            live["spec"] = spec
            live["metadata"]["generation"] += 1
        if annotations:
            live["metadata"]["annotations"] = {
                f"serinus.dev/{name}": value for name, value in annotations.items()
            }
        self.write("apply", "modeldeployments", "churn", live, actor="user")
        return self

    def look(self, ready: dict[str, int] | None = None) -> Log:
        """A pass begins, and reads Deployments and endpoints (given: ready pods by revision)."""
        self.number += 1
        self.began = self.t
        self.event("pass", actor=self.actor, id=self.number, object=KEY)
        seen = {short(r): n for r, n in ({A: 2, B: 2, C: 2} if ready is None else ready).items()}
        deployments = [
            item for (resource, _), item in self.objects.items() if resource == "deployments"
        ]
        slices = [
            {
                "metadata": {"labels": {"serinus.dev/revision": key}},
                "endpoints": [{"conditions": {"ready": True}, "addresses": ["10.0.0.1"]}] * count,
            }
            for key, count in seen.items()
        ]
        services = [item for (resource, _), item in self.objects.items() if resource == "services"]
        live = self.objects.get(("modeldeployments", "churn"))
        self.write(
            "get", "modeldeployments", "churn", None, result=[live] if live else [], body=None,
            committed=False,
        )  # fmt: skip
        for resource, items in (
            ("services", services), ("deployments", deployments), ("endpointslices", slices),
        ):  # fmt: skip
            self.write("list", resource, "", None, result=items, body=None, committed=False)
        return self

    def status(self, **fields: Any) -> Log:
        """The operator commits these fields of the status; None removes one."""
        live = deepcopy(self.objects["modeldeployments", "churn"])
        status = {**live.get("status", {}), **fields}
        live["status"] = {k: v for k, v in status.items() if v is not None}
        live["status"]["observedGeneration"] = live["metadata"]["generation"]
        body = {"status": fields}
        self.write("patch", "modeldeployments", "churn", live, sub="status", body=body)
        return self

    def child(
        self, resource: str, revision: str, verb: str = "apply", **more: Any
    ) -> dict[str, Any]:
        """The operator writes the Deployment or Service of a revision."""
        spec = {
            "replicas": more.pop("replicas", 2),
            "template": more.pop("template", template(revision)),
        }
        if resource == "services":
            spec = {"selector": more.pop("selector", {"serinus.dev/revision": short(revision)})}
        item = {
            "metadata": {
                "labels": {"serinus.dev/revision": short(revision)},
                "ownerReferences": [more.pop("owner", OWNER)],
            },
            "spec": spec,
            "status": {"readyReplicas": more.pop("ready", 2)},
        }
        self.write(verb, resource, f"churn-{short(revision)}", item, **more)
        return item

    def remove(self, resource: str, name: str, **more: Any) -> Log:
        item = self.objects[resource, name]
        uid = item["metadata"]["uid"]
        self.event("gone", resource=resource, namespace="ml", name=name, uid=uid)
        self.write("delete", resource, name, None, result=item, **more)
        return self

    def route(self, accept: bool = True, weights: dict[str, Any] | None = None, **more: Any) -> Log:
        """The operator writes the route's weights, by revision; the Gateway takes them."""
        before = self.objects.get(("httproutes", "churn"), {}).get("metadata", {})
        refs = [
            {"name": f"churn-{short(revision)}", **({} if weight is None else {"weight": weight})}
            for revision, weight in (weights or {}).items()
        ]
        item = {
            "metadata": {
                "ownerReferences": [OWNER],
                "generation": before.get("generation", 0) + 1,
            },
            "spec": {"rules": [{"backendRefs": refs}]},
        }
        self.write("apply", "httproutes", "churn", item, **more)
        if accept:
            self.accept()
        return self

    def accept(self) -> Log:
        item = deepcopy(self.objects["httproutes", "churn"])
        generation = item["metadata"]["generation"]
        item["status"] = {
            "parents": [
                {
                    "conditions": [
                        {"type": kind, "status": "True", "observedGeneration": generation}
                        for kind in ("Accepted", "ResolvedRefs")
                    ]
                }
            ]
        }
        self.write("patch", "httproutes", "churn", item, sub="status", actor="gateway")
        return self

    def metrics(
        self, requests: int, errors: int = 0, answer: str = "samples", source: str = "prometheus"
    ) -> Log:
        """The canary's counters since the step began, as a source answers them."""
        self.event(
            "metrics",
            actor=self.actor,
            object=KEY,
            revision=short(B),
            start=0.0,
            end=self.t,
            answer=answer,
            source=source,
            requests=requests,
            errors=errors,
        )
        return self

    def traffic(self, seconds: int, **counts: list[int]) -> Log:
        """The same every second: revision's first letter -> [requests, errors]."""
        named = {letter * 8: count for letter, count in counts.items()}
        for _ in range(seconds):
            self.wait(1.0).event("traffic", object=KEY, counts=named)
        return self

    def end(self, calm: float = 0.0) -> Log:
        """The faults are over, and ``calm`` seconds later the run is."""
        self.event("end", reason="calm")
        self.wait(calm).event("end", reason="end")
        return self

    def weigh(self, weight: int, **status: Any) -> Log:
        """The canary B is given a weight, in the status and on the route, by the pass of this moment."""
        if self.began != self.t:
            self.look()
        self.status(canary=arm(B, weight), **status)
        return self.route(weights={A: 100 - weight, B: weight})


def template(revision: str, image: str = "server:1") -> dict[str, Any]:
    env = {
        "SERINUS_MODEL_URI": f"models:/churn/{short(revision)}",
        "SERINUS_MODEL_DIGEST": f"sha256:{revision[3:]}",
    }
    pairs = [{"name": name, "value": value} for name, value in env.items()]
    return {"spec": {"containers": [{"image": image, "env": pairs}]}}


def serving(spec: dict[str, Any] | None = None) -> Log:
    """Revision A has all of the traffic, at 10 s."""
    log = Log()
    log.user(spec or SPEC).wait(1).look()
    log.status(stable=arm(A, 100))
    log.child("services", A)
    log.child("deployments", A)
    log.route(weights={A: 100})
    return log.wait(9)


def asked(uri: str = "models:/churn/2", **rollout: Any) -> dict[str, Any]:
    """The spec with another model."""
    return {**SPEC, "model": {"uri": uri}, "rollout": {**SPEC["rollout"], **rollout}}  # type: ignore[dict-item]


def rolling(spec: dict[str, Any] | None = None) -> Log:
    """Canary B has its pods and no weight yet, at 20 s."""
    log = serving()
    log.user(spec or asked()).wait(1).look()
    log.status(canary=arm(B, 0), rollout={"stage": "Scaling", "step": 0})
    log.child("services", B)
    log.child("deployments", B)
    return log.wait(9)


def held(spec: dict[str, Any] | None = None) -> Log:
    """Canary B has had the weight of the first step for 31 s and enough good requests, at 51 s."""
    log = rolling(spec).weigh(10)
    for n in (1, 2, 3):
        log.wait(10).look().metrics(100 * n).status(rollout={"stage": "Holding", "step": 0})
    return log.wait(1)
