"""What people do to the world and see of it: the words that scenarios are written in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from serinus.api import names

from .host import Host, Setup
from .pods import version_of
from .store import Address, Object, Store

if TYPE_CHECKING:
    from .faults import Faults

NAMESPACE = "ml"
POLL = 0.25  # seconds between two looks


class GaveUp(Exception):
    """What a scenario waited for did not happen in time."""


class People:
    """Mixed into the world."""

    __slots__ = ()
    store: Store
    faults: Faults
    hosts: list[Host]
    setup: Setup
    now: float
    log: Callable[..., None]
    write: Callable[..., Object | None]

    def apply(self, name: str, spec: Mapping[str, Any]) -> None:
        """A person writes the spec."""
        at = Address(names.PLURAL, NAMESPACE, name)
        self.log("user", what="apply", object=f"{NAMESPACE}/{name}", spec=spec)
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "spec": spec}
        live = self.store.get(at)
        if live is None:
            self.write("user", "create", at, body)
        else:
            self.write("user", "patch", at, {"spec": replacing(live["spec"], spec)})

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

    def requested(self, version: str, name: str = "churn") -> int:
        """The weight that the operator has committed for a model version."""
        for arm in ("canary", "stable"):
            found = self.status(name).get(arm)
            if found and found.get("resolvedVersion") == version:
                return int(found.get("requestedWeight", 0))
        return 0

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


def replacing(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes of ``live`` exactly what is wanted."""
    patch: dict[str, Any] = {key: None for key in live if key not in wanted}
    for key, value in wanted.items():
        old = live.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        patch[key] = replacing(old, value) if both else value  # type: ignore[arg-type]
    return patch
