"""kopf as transport: its watches wake keys, and nothing more.

No timers, daemons, change handlers or finalizers: one failed write would end them for good, and
the resync makes a lost event cost at most one interval.
"""

from __future__ import annotations

from typing import Any

import kopf

from serinus.api import names
from serinus.app.resync import key_of
from serinus.app.settings import Settings
from serinus.app.workqueue import WorkQueue
from serinus.ports import Manifest
from serinus.reconcile.claims import ClaimIndex
from serinus.reconcile.deps import Key

OWNED = (
    ("apps", "deployments"),
    ("", "services"),
    ("discovery.k8s.io", "endpointslices"),
    ("gateway.networking.k8s.io", "httproutes"),
)


def make_registry(
    queue: WorkQueue[Key], settings: Settings, claims: ClaimIndex
) -> kopf.OperatorRegistry:
    """Handlers that turn watch events into keys.

    What a watch lists when it begins wakes nobody: there may be thousands, and the resync brings those
    for which something is to be done.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        if settings.kubeconfig:
            return kopf.login_with_kubeconfig(**kwargs)
        return kopf.login_with_service_account(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        found: Manifest = event["object"]
        if event["type"] == "DELETED":
            claims.drop(key_of(found))
        else:
            claims.put(found)
        if event["type"] is not None:
            queue.add(key_of(found))

    async def owned_changed(event: kopf.RawEvent, meta: Any, namespace: str, **_: Any) -> None:
        if event["type"] is not None:
            queue.add(Key(namespace, meta["labels"][names.LABEL_NAME]))

    ours = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_NAME: kopf.PRESENT}
    for group, plural in OWNED:
        where = (group, plural) if group else ("v1", plural)
        kopf.on.event(*where, registry=registry, labels=ours, id=f"owned-{plural}")(owned_changed)  # type: ignore[arg-type]
    return registry


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
