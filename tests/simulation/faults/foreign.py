"""Somebody else, with rights that they should not have, changes what the operator owns."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from serinus.api import names

from ..controllers import address
from ..people import NAMESPACE
from ..store import Object
from .base import Faults

if TYPE_CHECKING:
    from ..world import World


class Foreign(Faults):
    """Moves of an adversary, every few seconds."""

    harsh = True

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._left = rng.randint(1, 6)
        self.calm_at = 40.0
        self._moves = (
            self._weights,
            self._scale,
            self._label,
            self._delete,
            self._kill,
            self._spec,
        )

    def begin(self, world: World) -> None:
        super().begin(world)
        world.loop.outside(self._rng.uniform(4.0, 15.0), self._move)

    def _move(self) -> None:
        if not self.on or not self._left:
            return
        self._left -= 1
        self._rng.choice(self._moves)()
        self.world.loop.outside(self._rng.uniform(0.2, 8.0), self._move)

    def _pick(self, plural: str) -> Object | None:
        found = self.world.store.list(plural, NAMESPACE, {})
        return self._rng.choice(found) if found else None

    def _weights(self) -> None:
        route = self._pick("httproutes")
        if route is not None:
            rule = route["spec"]["rules"][0]
            refs = [
                {**ref, "weight": self._rng.randint(0, 100)}
                for ref in rule.get("backendRefs") or ()
            ]
            self._patch("weights", route, {"spec": {"rules": [{**rule, "backendRefs": refs}]}})

    def _spec(self) -> None:
        route = self._pick("httproutes")
        if route is not None:
            self._patch("hostnames", route, {"spec": {"hostnames": ["somewhere.example"]}})

    def _scale(self) -> None:
        found = self._pick("deployments")
        if found is not None:
            self._patch("scale", found, {"spec": {"replicas": self._rng.randint(0, 4)}})

    def _label(self) -> None:
        plural = self._rng.choice(("deployments", "services", "httproutes"))
        found = self._pick(plural)
        if found is not None:
            self._patch("label", found, {"metadata": {"labels": {"team": "x"}}}, plural)

    def _delete(self) -> None:
        plural = self._rng.choice(("deployments", "services", "httproutes", "endpointslices"))
        found = self._pick(plural)
        if found is not None:
            self.world.fault(f"foreign delete {plural}")
            self.world.write("foreign", "delete", address(plural, found))

    def _kill(self) -> None:
        found = self._pick("pods")
        if found is not None:
            self.world.fault("foreign delete pods")
            self.world.write("foreign", "delete", address("pods", found))

    def _patch(self, what: str, item: Object, patch: Object, plural: str = "") -> None:
        kinds = {"weights": "httproutes", "hostnames": "httproutes", "scale": "deployments"}
        if names.LABEL_NAME in (item["metadata"].get("labels") or {}):
            self.world.fault(f"foreign {what}")
            self.world.write("foreign", "patch", address(plural or kinds[what], item), patch)
