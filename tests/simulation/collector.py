"""The garbage collector and the namespace controller: what belongs to nothing goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .store import Address, Object

if TYPE_CHECKING:
    from .world import World

FOREGROUND = "foregroundDeletion"


class Collector:
    """Deletes objects whose owner is gone, and everything of a namespace that terminates."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._delay = world.pace.collector
        self._owned: dict[str, dict[Address, None]] = {}  # uid of the owner -> where
        world.store.watch(self.watched)

    def watched(self, event: str, at: Address, item: Object) -> None:
        meta = item["metadata"]
        owners = [ref["uid"] for ref in meta.get("ownerReferences") or ()]
        if event == "DELETED":
            for uid in owners:
                self._owned.get(uid, {}).pop(at, None)
                if FOREGROUND in self._finalizers(uid):
                    self._world.loop.outside(self._delay, self._foreground, uid)
            self._world.loop.outside(self._delay, self._collect, meta["uid"])
            return
        for uid in owners:
            self._owned.setdefault(uid, {})[at] = None
        if event == "ADDED" and owners:
            self._world.loop.outside(self._delay, self._adopt, at)
        if "deletionTimestamp" in meta and FOREGROUND in (meta.get("finalizers") or ()):
            self._world.loop.outside(self._delay, self._foreground, meta["uid"])

    def _finalizers(self, uid: str) -> list[str]:
        found = self._world.store.by_uid(uid)
        return list(found[1]["metadata"].get("finalizers") or ()) if found else []

    def _collect(self, uid: str) -> None:
        for at in list(self._owned.pop(uid, ())):
            self._adopt(at)

    def _adopt(self, at: Address) -> None:
        """Deletes the object when none of its owners is there."""
        item = self._world.store.get(at)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return
        refs = item["metadata"].get("ownerReferences") or ()
        if refs and not any(self._world.store.by_uid(ref["uid"]) for ref in refs):
            self._world.write("collector", "delete", at, {"uid": item["metadata"]["uid"]})

    def _foreground(self, uid: str) -> None:
        """Dependents first, then the owner itself."""
        found = self._world.store.by_uid(uid)
        if found is None:
            return
        at, item = found
        left = [a for a in self._owned.get(uid, ()) if self._world.store.get(a) is not None]
        for dependent in left:
            self._world.write("collector", "delete", dependent)
        if not left:
            rest = [f for f in item["metadata"].get("finalizers") or () if f != FOREGROUND]
            self._world.write("collector", "patch", at, {"metadata": {"finalizers": rest}})


def terminate(world: World, namespace: str) -> None:
    """A person deletes the namespace: its content goes bit by bit, in no order that one may rely on."""
    world.log("user", what="delete-namespace", object=namespace)
    world.store.namespaces[namespace] = "Terminating"

    def step() -> None:
        kinds: dict[str, list[Address]] = {}
        for at, _ in world.store.all():
            if at.namespace == namespace:
                kinds.setdefault(at.plural, []).append(at)
        if not kinds:
            del world.store.namespaces[namespace]
            return
        for at in kinds[world.rng.choice(sorted(kinds))]:
            world.write("collector", "delete", at)
        world.loop.outside(0.3, step)

    world.loop.outside(0.3, step)
