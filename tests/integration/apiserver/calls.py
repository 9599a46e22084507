"""What the operator asks of an API server, as scripts of its own client's calls.

The simulation's store, the sandbox and a real kube-apiserver must answer them alike: everything that
the simulation proves stands on that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tests.simulation.store import Address, Store

from serinus.ports import ApiError, Kind, KubeApi, Manifest, NotFound, Ref
from serinus.reconcile import kinds

Outcome = tuple[Any, ...]
SCRIPTS: dict[str, Callable[[Calls], Awaitable[None]]] = {}


class StoreKube:
    """``ports.KubeApi`` straight on the simulation's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, ref: Ref) -> Manifest | None:
        return self._store.get(_address(ref))

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        return self._store.list(kind.plural, namespace, labels)

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        return self._store.merge(_address(ref), patch, subresource)

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        name = ref.name or manifest["metadata"]["name"]
        return self._store.create(Address(ref.kind.plural, ref.namespace, name), manifest)

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        wanted = {"uid": uid, "resourceVersion": resource_version}
        try:
            self._store.delete(_address(ref), {k: v for k, v in wanted.items() if v})
        except NotFound:
            return


def _address(ref: Ref) -> Address:
    return Address(ref.kind.plural, ref.namespace, ref.name)


class Calls:
    """Makes calls in one namespace and keeps what counts of each answer."""

    def __init__(self, kube: KubeApi, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace
        self.outcomes: list[Outcome] = []
        self._known: dict[str, tuple[str, str]] = {}

    def ref(self, kind: Kind, name: str) -> Ref:
        return Ref(kind, self.namespace, name)

    async def call(self, answer: Awaitable[Any], *show: str) -> Any:
        """The answer; of an error its kind and code, of an object what ``show`` names (dotted)."""
        try:
            found = await answer
        except ApiError as e:
            self.outcomes.append((type(e).__name__, e.status))
            return None
        if isinstance(found, Mapping):
            self.outcomes.append(self._of(found, show))
        elif found is None:
            self.outcomes.append(("nothing",))
        else:
            self.outcomes.append(tuple(sorted(item["metadata"]["name"] for item in found)))
        return found

    def _of(self, found: Manifest, show: Sequence[str]) -> Outcome:
        """Whether it is the same object, in the same version, as the last answer about it was."""
        meta = found["metadata"]
        now = (meta["uid"], meta["resourceVersion"])
        before = self._known.get(meta["name"], ("", ""))
        self._known[meta["name"]] = now
        shown = {name: _field(found, name) for name in show}
        return ("same" if now[0] == before[0] else "new", now[1] != before[1], shown)


def _field(found: Any, name: str) -> Any:
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def script(function: Callable[[Calls], Awaitable[None]]) -> Callable[[Calls], Awaitable[None]]:
    SCRIPTS[function.__name__] = function
    return function


def model(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "churn", "labels": {"team": "a"}},
        "spec": {"model": {"uri": "models:/churn/1"}, **spec},
    }


def service(labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "churn", "labels": dict(labels), "annotations": {"a": "1", "b": "1"}},
        "spec": {"selector": {"x": "1", "y": "1"}, "ports": [{"port": 80}]},
    }


def lease(holder: str) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "serinus"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 1},
    }


def version(found: Manifest) -> dict[str, str]:
    return {"resourceVersion": found["metadata"]["resourceVersion"]}


@script
async def what_is_not_there(c: Calls) -> None:
    ref = c.ref(kinds.MODEL_DEPLOYMENT, "churn")
    await c.call(c.kube.get(ref))
    await c.call(c.kube.list(kinds.MODEL_DEPLOYMENT, c.namespace, {}))
    await c.call(c.kube.patch(ref, {"spec": {}}))
    await c.call(c.kube.patch(ref, {"status": {}}, "status"))
    await c.call(c.kube.delete(ref, "00000000-0000-4000-8000-000000000000"))
    elsewhere = Ref(kinds.SERVICE, f"{c.namespace}-not", "churn")
    await c.call(c.kube.create(elsewhere, service({})))


@script
async def status_and_spec_are_apart(c: Calls) -> None:
    ref = c.ref(kinds.MODEL_DEPLOYMENT, "churn")
    show = ("metadata.generation", "spec.model.uri", "status.phase", "metadata.labels")
    await c.call(c.kube.create(ref, model()), *show)
    await c.call(c.kube.create(ref, model()))
    await c.call(c.kube.get(ref), *show)
    both = {"spec": {"model": {"uri": "models:/churn/2"}}, "status": {"phase": "Ready"}}
    await c.call(c.kube.patch(ref, both, "status"), *show)
    await c.call(c.kube.patch(ref, {**both, "status": {"phase": "Pending"}}), *show)
    await c.call(c.kube.patch(ref, both), *show)  # nothing new: no new version
    labels = {"metadata": {"labels": {"team": None, "to": "b"}}}
    await c.call(c.kube.patch(ref, labels), *show)
    await c.call(c.kube.patch(ref, {"status": {"phase": None}}, "status"), *show)
    await c.call(c.kube.patch(ref, {"status": {}}, "status"), *show)


@script
async def compare_and_set(c: Calls) -> None:
    ref = c.ref(kinds.MODEL_DEPLOYMENT, "churn")
    made = await c.call(c.kube.create(ref, model()))
    first = {"metadata": version(made), "status": {"phase": "Ready"}}
    await c.call(c.kube.patch(ref, first, "status"), "status.phase")
    await c.call(c.kube.patch(ref, first, "status"))  # of the version before
    await c.call(c.kube.patch(ref, {"metadata": version(made), "status": {}}, "status"))
    live = await c.call(c.kube.get(ref))
    nothing = {"metadata": {**version(live), "uid": live["metadata"]["uid"]}, "status": {}}
    await c.call(c.kube.patch(ref, nothing, "status"))
    # A uid alone is no guard that API servers agree on: the operator always sends the version too.
    await c.call(
        c.kube.patch(ref, {"metadata": version(made), "spec": {"server": {"replicas": 3}}})
    )


@script
async def deleting_what_was_looked_at(c: Calls) -> None:
    ref = c.ref(kinds.SERVICE, "churn")
    made = await c.call(c.kube.create(ref, service({})))
    uid, old = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    await c.call(c.kube.patch(ref, {"metadata": {"annotations": {"a": "2"}}}))
    await c.call(c.kube.delete(ref, "00000000-0000-4000-8000-000000000000"))
    await c.call(c.kube.delete(ref, uid, old))
    live = await c.call(c.kube.get(ref))
    await c.call(c.kube.delete(ref, uid, live["metadata"]["resourceVersion"]))
    await c.call(c.kube.get(ref))
    await c.call(c.kube.delete(ref, uid))
    again = await c.call(c.kube.create(ref, service({})))
    await c.call(c.kube.delete(ref, uid))
    await c.call(c.kube.get(ref))
    await c.call(c.kube.delete(ref, again["metadata"]["uid"]))


@script
async def merge_patches(c: Calls) -> None:
    ref = c.ref(kinds.SERVICE, "churn")
    show = ("spec.selector", "metadata.annotations", "metadata.labels")
    made = await c.call(c.kube.create(ref, service({"a": "1"})), *show)
    patch = {"metadata": {"annotations": {"a": None, "c": "3"}}, "spec": {"selector": {"y": None}}}
    await c.call(
        c.kube.patch(ref, {**patch, "metadata": {**patch["metadata"], **version(made)}}), *show
    )
    await c.call(c.kube.patch(ref, patch), *show)
    await c.call(c.kube.patch(ref, {"metadata": {"labels": None}}), *show)


@script
async def lists_by_label(c: Calls) -> None:
    for name, labels in {
        "a": {"x": "1"},
        "b": {"x": "1", "y": "2"},
        "c": {"y": "2"},
        "d": {},
    }.items():
        body = service(labels)
        body["metadata"]["name"] = name
        await c.call(c.kube.create(c.ref(kinds.SERVICE, name), body))
    for wanted in ({}, {"x": "1"}, {"x": "1", "y": "2"}, {"x": "2"}):
        await c.call(c.kube.list(kinds.SERVICE, c.namespace, wanted))


@script
async def a_lease(c: Calls) -> None:
    ref = c.ref(kinds.LEASE, "serinus")
    made = await c.call(c.kube.create(ref, lease("one")), "spec.holderIdentity")
    await c.call(c.kube.create(ref, lease("two")))
    taken = {"holderIdentity": "two", "leaseTransitions": 2}
    await c.call(
        c.kube.patch(ref, {"metadata": version(made), "spec": taken}), "spec.holderIdentity"
    )
    await c.call(c.kube.patch(ref, {"metadata": version(made), "spec": {"holderIdentity": "one"}}))
    await c.call(c.kube.patch(ref, {"spec": {"holderIdentity": None}}), "spec")


@script
async def an_event_is_told_once(c: Calls) -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "churn.0001", "namespace": c.namespace},
        "involvedObject": {"kind": "ModelDeployment", "name": "churn", "namespace": c.namespace},
        "reason": "Promoted",
        "type": "Normal",
    }
    await c.call(c.kube.create(c.ref(kinds.EVENT, ""), event), "reason")
    await c.call(c.kube.create(c.ref(kinds.EVENT, ""), event))


@script
async def generations_grow_with_the_spec_alone(c: Calls) -> None:
    ref = c.ref(kinds.HTTP_ROUTE, "churn")
    rule = {"backendRefs": [{"name": "a", "port": 80, "weight": 100}]}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "churn"},
        "spec": {"rules": [rule]},
    }
    show = ("metadata.generation", "metadata.annotations")
    await c.call(c.kube.create(ref, route), *show)
    await c.call(
        c.kube.patch(ref, {"metadata": {"annotations": {"serinus.dev/fence": "2"}}}), *show
    )
    heavier = {"rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": 99}]}]}
    await c.call(c.kube.patch(ref, {"spec": heavier}), *show)
    await c.call(c.kube.patch(ref, {"spec": heavier}), *show)
