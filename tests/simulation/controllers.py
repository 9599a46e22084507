"""The cluster's own controllers: Deployments to pods, Services to endpoints, routes to a gateway.

They act a little after what they watch has changed, as the real ones do. There are no ReplicaSets: a
Deployment owns its pods itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serinus.api import names

from .pods import is_ready, version_of
from .store import Address, Object

if TYPE_CHECKING:
    from .world import World

WAITING = {
    "image": {"reason": "ImagePullBackOff", "message": "image not found"},
    "crash": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"},
}


class Controller(ABC):
    """Syncs one address at a time, a moment after it was asked to."""

    def __init__(self, world: World, delay: float) -> None:
        self.world = world
        self._delay = delay
        self._pending: set[Address] = set()
        world.store.watch(self.watched)

    @abstractmethod
    def watched(self, event: str, at: Address, item: Object) -> None:
        """Something has changed: asks for what has to be looked at."""

    @abstractmethod
    def sync(self, at: Address) -> None:
        """Makes the world follow what is at this address."""

    def wake(self, at: Address, delay: float | None = None) -> None:
        if at not in self._pending:
            self._pending.add(at)
            self.world.loop.outside(self._delay if delay is None else delay, self._turn, at)

    def _turn(self, at: Address) -> None:
        self._pending.discard(at)
        self.sync(at)


class Deployments(Controller):
    """Makes and removes pods, and lets them get ready as their model version's truth says."""

    def __init__(self, world: World) -> None:
        super().__init__(world, world.pace.controller)
        self._made = 0

    def watched(self, event: str, at: Address, item: Object) -> None:
        if at.plural == "deployments" and event != "DELETED":
            if event == "ADDED":
                self.world.loop.outside(0.0, self._tell_truth, item)
            self.wake(at)
        elif at.plural == "pods":
            owner = item["metadata"]["ownerReferences"][0]["name"]
            self.wake(Address("deployments", at.namespace, owner))

    def _tell_truth(self, item: Object) -> None:
        self.world.log_truth(version_of(item["spec"]["template"]))

    def truth_changed(self, version: str) -> None:
        """Pods that run now follow the new truth."""
        for pod in list(self.world.store.list("pods", None, {})):
            if version_of(pod) == version:
                self._settle(pod)

    def pods(self, deployment: Object) -> list[Object]:
        meta = deployment["metadata"]
        uid = meta["uid"]
        return [
            pod
            for pod in self.world.store.list("pods", meta["namespace"], {})
            if pod["metadata"]["ownerReferences"][0]["uid"] == uid
        ]

    def sync(self, at: Address) -> None:
        live = self.world.store.get(at)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return
        wanted = live["spec"].get("replicas", 1)
        truth = self.world.truth(version_of(live["spec"]["template"]))
        pods = self.pods(live)
        if truth.start != "quota":
            for _ in range(wanted - len(pods)):
                self._make(live)
        for pod in sorted(pods, key=lambda p: (is_ready(p), p["metadata"]["name"]))[
            : max(0, len(pods) - wanted)
        ]:
            self.world.write("deployments", "delete", address("pods", pod))
        self._report(at, live, quota=truth.start == "quota" and len(pods) < wanted)

    def _make(self, deployment: Object) -> None:
        self._made += 1
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        at = Address("pods", meta["namespace"], f"{meta['name']}-{self._made}")
        pod = {
            "metadata": {
                "labels": template["metadata"]["labels"],
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": meta["name"],
                        "uid": meta["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": template["spec"],
            "status": {
                "phase": "Pending",
                "podIP": f"10.0.{self._made // 250}.{self._made % 250 + 1}",
            },
        }
        made = self.world.write("deployments", "create", at, pod)
        if made is not None:
            load = self.world.truth(version_of(made)).load
            self.world.loop.outside(load, self._loaded, at, made["metadata"]["uid"])

    def _loaded(self, at: Address, uid: str) -> None:
        pod = self.world.store.get(at)
        if pod is not None and pod["metadata"]["uid"] == uid:
            self._settle(pod)

    def _settle(self, pod: Object) -> None:
        """The pod's status as its version's truth has it."""
        start = self.world.truth(version_of(pod)).start
        if start == "hang":
            return
        ready = start in {"ok", "quota"}
        container: dict[str, Any] = {"name": "server", "ready": ready}
        if not ready:
            container["state"] = {"waiting": WAITING.get(start, WAITING["crash"])}
        if start == "crash":
            ended = {"reason": "Error", "exitCode": 3, "message": "the model could not be loaded"}
            container["lastState"] = {"terminated": ended}
        status = {
            "phase": "Running" if ready else "Pending",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [container],
        }
        self.world.write("deployments", "patch", address("pods", pod), {"status": status}, "status")

    def _report(self, at: Address, live: Object, *, quota: bool) -> None:
        pods = self.pods(live)
        status = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(is_ready(pod) for pod in pods),
            "conditions": [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": "exceeded quota: pods",
                }
            ]
            if quota
            else None,
        }
        if any((live.get("status") or {}).get(k) != v for k, v in status.items()):
            self.world.write("deployments", "patch", at, {"status": status}, "status")


class Endpoints(Controller):
    """One EndpointSlice per Service."""

    def __init__(self, world: World) -> None:
        super().__init__(world, world.pace.controller)

    def watched(self, event: str, at: Address, item: Object) -> None:
        if at.plural == "services":
            self.wake(at)
        elif at.plural == "endpointslices":
            self.wake(Address("services", at.namespace, at.name.rpartition("-")[0]))
        elif at.plural == "pods":
            labels = item["metadata"]["labels"].items()
            for service in self.world.store.list("services", at.namespace, {}):
                if service["spec"]["selector"].items() <= labels:
                    self.wake(address("services", service))

    def sync(self, at: Address) -> None:
        service = self.world.store.get(at)
        if service is None:
            return
        meta = service["metadata"]
        pods = self.world.store.list("pods", at.namespace, service["spec"]["selector"])
        endpoints = [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": is_ready(pod)},
                "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]},
            }
            for pod in pods
        ]
        where = Address("endpointslices", at.namespace, f"{at.name}-1")
        live = self.world.store.get(where)
        owned = live is not None and live["metadata"]["ownerReferences"][0]["uid"] == meta["uid"]
        if live is None or not owned:
            if live is not None:
                self.world.write("endpoints", "delete", where)
            owner = {"apiVersion": "v1", "kind": "Service", "name": at.name, "uid": meta["uid"]}
            body = {
                "metadata": {
                    "labels": {**meta.get("labels", {}), "kubernetes.io/service-name": at.name},
                    "ownerReferences": [owner],
                },
                "endpoints": endpoints,
            }
            self.world.write("endpoints", "create", where, body)
        elif live["endpoints"] != endpoints:
            self.world.write("endpoints", "patch", where, {"endpoints": endpoints})


class Gateway(Controller):
    """Takes over a route's weights, then says so in its status."""

    def __init__(self, world: World) -> None:
        super().__init__(world, world.pace.gateway)
        self.programmed: dict[tuple[str, str], tuple[tuple[str, int], ...]] = {}
        self.refuses: Callable[[Object], bool] = lambda route: False

    def watched(self, event: str, at: Address, item: Object) -> None:
        if at.plural == "httproutes":
            if event == "DELETED":
                self.programmed.pop((at.namespace, at.name), None)
            else:
                self.wake(at)
        elif at.plural == "services" and event != "MODIFIED":
            owner = item["metadata"].get("labels", {}).get(names.LABEL_NAME)
            if owner:
                self.wake(Address("httproutes", at.namespace, owner))

    def sync(self, at: Address) -> None:
        route = self.world.store.get(at)
        if route is None:
            return
        refs = route["spec"]["rules"][0].get("backendRefs") or []
        missing = [
            ref["name"]
            for ref in refs
            if self.world.store.get(Address("services", at.namespace, ref["name"])) is None
        ]
        accepted = not self.refuses(route)
        if accepted:
            self.programmed[at.namespace, at.name] = tuple(
                (ref["name"], ref.get("weight", 1)) for ref in refs
            )
        generation = route["metadata"]["generation"]
        conditions = [
            {
                "type": "Accepted",
                "status": "True" if accepted else "False",
                "reason": "Accepted" if accepted else "NotAllowed",
                "observedGeneration": generation,
            },
            {
                "type": "ResolvedRefs",
                "status": "False" if missing else "True",
                "reason": "BackendNotFound" if missing else "ResolvedRefs",
                "message": ", ".join(missing),
                "observedGeneration": generation,
            },
        ]
        parents = [
            {"parentRef": ref, "controllerName": "simulation/gateway", "conditions": conditions}
            for ref in route["spec"].get("parentRefs") or ()
        ]
        if (route.get("status") or {}).get("parents") != parents:
            self.world.write("gateway", "patch", at, {"status": {"parents": parents}}, "status")


def address(plural: str, item: Object) -> Address:
    return Address(plural, item["metadata"]["namespace"], item["metadata"]["name"])
