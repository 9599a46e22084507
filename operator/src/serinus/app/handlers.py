"""kopf as transport: its watches wake keys, and nothing more.

No timers, daemons, change handlers or finalizers: one failed write would end them for good, and
the resync makes a lost event cost at most one interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import kopf

from serinus.api import names
from serinus.app.resync import key_of
from serinus.app.settings import Settings
from serinus.app.workqueue import WorkQueue
from serinus.ports import Kind, Manifest, Ref
from serinus.reconcile import kinds
from serinus.reconcile.claims import ClaimIndex
from serinus.reconcile.deps import Key
from serinus.reconcile.gate import Gate

OWNED = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.ENDPOINT_SLICE, kinds.HTTP_ROUTE)


@dataclass(frozen=True, slots=True)
class Sightings:
    """Turns watch events into keys, and tells who wants to know what was seen.

    What a watch lists when it begins (events without a type) wakes nobody: there may be thousands, and the
    resync brings those for which something is to be done.
    """

    queue: WorkQueue[Key]
    claims: ClaimIndex
    gate: Gate

    def changed(self, event: kopf.RawEvent) -> None:
        """One of our objects was seen."""
        found: Manifest = event["object"]
        if event["type"] == "DELETED":
            self.claims.drop(key_of(found))
        else:
            self.claims.put(found)
        self._saw(kinds.MODEL_DEPLOYMENT, event, key_of(found))

    def owned_changed(self, kind: Kind, event: kopf.RawEvent) -> None:
        """An object with our labels was seen."""
        meta = event["object"]["metadata"]
        self._saw(kind, event, Key(meta["namespace"], meta["labels"][names.LABEL_NAME]))

    def _saw(self, kind: Kind, event: kopf.RawEvent, key: Key) -> None:
        meta = event["object"]["metadata"]
        if event["type"] == "DELETED":
            self.gate.gone(Ref(kind, meta["namespace"], meta["name"]), meta["uid"])
        if event["type"] is not None:
            self.queue.add(key)


def make_registry(sightings: Sightings, settings: Settings) -> kopf.OperatorRegistry:
    """kopf's handlers; all that they do is to tell of what was seen."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        if settings.kubeconfig:
            return kopf.login_with_kubeconfig(**kwargs)
        return kopf.login_with_service_account(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        sightings.changed(event)

    for kind in OWNED:
        _watch_owned(registry, sightings, kind)
    return registry


def _watch_owned(registry: kopf.OperatorRegistry, sightings: Sightings, kind: Kind) -> None:
    ours = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_NAME: kopf.PRESENT}
    where = (kind.group, kind.plural) if kind.group else ("v1", kind.plural)

    @kopf.on.event(*where, registry=registry, labels=ours, id=f"owned-{kind.plural}")  # type: ignore[arg-type]
    async def owned_changed(event: kopf.RawEvent, **_: Any) -> None:
        sightings.owned_changed(kind, event)


def make_settings() -> kopf.OperatorSettings:
    """kopf's settings, explicit: its defaults wait for minutes."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.networking.request_timeout = 10
    settings.networking.connect_timeout = 3
    settings.networking.error_backoffs = (0.5, 1, 2, 5)
    settings.watching.server_timeout = 270
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 3
    settings.watching.reconnect_backoff = 0.5
    settings.queueing.exit_timeout = 2
    return settings
