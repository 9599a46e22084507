"""Before the watches begin: wait until the cluster serves what is to be watched.

kopf looks up the kinds once, when it starts: one that comes later would never be watched, and its
objects would only be seen at the resync.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Protocol

import structlog

from serinus.ports import ApiError, Kind, KubeApi, NotFound
from serinus.reconcile import kinds

log = structlog.get_logger("serinus")

POLL = 2.0
_WAITING = "waiting for the CRD modeldeployments.serinus.dev"


class Discovering(KubeApi, Protocol):
    """A KubeApi that also knows what there is."""

    async def serves(self, kind: Kind) -> bool:
        """Whether discovery names the kind, in any version of its group."""


def stop_on_signals(stop: asyncio.Event) -> None:
    """Sets the event on SIGTERM and SIGINT, whatever they did before."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def kinds_are_served(
    kube: Discovering, namespaces: Sequence[str], stop: asyncio.Event, poll: float = POLL
) -> bool:
    """Waits until our objects can be listed and found by discovery; False when stopped before."""
    told: str | None = None
    while not stop.is_set():
        try:
            if await _is_served(kube, namespaces):
                await _warn_without_routes(kube)
                return True
            found = ""
        except ApiError as e:
            found = f"{e.status} {e.reason}"  # without its text, which may differ every time
            if found != told:
                log.warning("waiting for the API server", error=str(e), retry_in=poll)
        else:
            if found != told:
                log.warning(_WAITING, retry_in=poll)
        told = found
        try:
            async with asyncio.timeout(poll):
                await stop.wait()
        except TimeoutError:
            continue
    return False


async def _is_served(kube: Discovering, namespaces: Sequence[str]) -> bool:
    try:
        for namespace in namespaces or (None,):
            await kube.list(kinds.MODEL_DEPLOYMENT, namespace, {})
    except NotFound:
        return False
    return await kube.serves(kinds.MODEL_DEPLOYMENT)


async def _warn_without_routes(kube: Discovering) -> None:
    try:
        served = await kube.serves(kinds.HTTP_ROUTE)
    except ApiError as e:
        log.warning("cannot tell whether HTTPRoutes are served", error=str(e))
        return
    if not served:
        log.warning(
            "HTTPRoutes are not served: they are not watched until the operator is restarted, "
            "and what routers say of weights is seen at the resync only"
        )
