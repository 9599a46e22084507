"""Stand-in for the controller manager: Deployments are ready and Services have endpoints at once.

A real one makes ReplicaSets and Pods, twenty requests a second: minutes of it for a thousand resources, on
the cores that are to be measured. What the operator reads, Deployment status and EndpointSlices, is the same.
"""

from __future__ import annotations

import asyncio

from serinus.sandbox.client import ApiError, KubeClient
from serinus.sandbox.informer import Informer, WorkQueue
from serinus.sandbox.objects import Key, Object, key_of, labels_of, owner_reference
from serinus.sandbox.resources import DEPLOYMENTS, ENDPOINT_SLICES, LEASES, SERVICES, Resource

_LEASE = ("kube-system", "kube-controller-manager")
_SERVICE_NAME = "kubernetes.io/service-name"


async def slices_resource(client: KubeClient) -> Resource:
    """EndpointSlices in the version that this API server has."""
    try:
        await client.raw("/apis/discovery.k8s.io/v1")
    except ApiError as error:
        if not error.not_found:
            raise
        return Resource("discovery.k8s.io", "v1beta1", "endpointslices", "EndpointSlice")
    return ENDPOINT_SLICES


async def real_ones_run(client: KubeClient, seconds: float = 4.0) -> bool:
    """Whether a controller manager renews its Lease within ``seconds``."""
    namespace, name = _LEASE
    before = await client.find(LEASES, name, namespace)
    if before is None:
        return False
    await asyncio.sleep(seconds)
    after = await client.find(LEASES, name, namespace)
    return after is not None and before["metadata"] != after["metadata"]


class Controllers:
    """A revision's Deployment and Service have the same name, which is the key here."""

    def __init__(self, client: KubeClient, deployments: Informer, slices: Resource) -> None:
        self._client = client
        self._deployments = deployments
        self._services = Informer(client, SERVICES)
        self._slices = slices
        self._addresses: dict[Key, int] = {}
        self._written: dict[Key, tuple[str, int]] = {}
        self._queue = WorkQueue("child", self._look)

    async def run(self) -> None:
        """Work until cancelled. The informer of Deployments is the caller's to run."""
        self._deployments.on_change(self._changed)
        self._services.on_change(self._changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._services.run())
            group.create_task(self._queue.run())

    def _changed(self, before: Object | None, after: Object | None) -> None:
        self._queue.add(key_of(after or before or {}))

    async def _look(self, key: Key) -> None:
        namespace, name = key
        deployment, service = self._deployments.get(*key), self._services.get(*key)
        if deployment is not None:
            wanted = _all_ready(deployment)
            if {k: (deployment.get("status") or {}).get(k) for k in wanted} != wanted:
                patch = {"status": wanted}
                await self._client.merge(DEPLOYMENTS, name, namespace, patch, "status")
        if service is None:
            if self._written.pop(key, None):
                await self._client.delete(self._slices, name, namespace)
        elif deployment is not None:
            await self._write_slice(key, service, int(deployment["spec"]["replicas"]))

    async def _write_slice(self, key: Key, service: Object, replicas: int) -> None:
        uid = service["metadata"]["uid"]
        if "selector" not in service["spec"] or self._written.get(key) == (uid, replicas):
            return
        namespace, name = key
        first = self._addresses.setdefault(key, 100 * len(self._addresses))
        numbers = range(first, first + replicas)
        labels = {**labels_of(service), _SERVICE_NAME: name}
        body = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "ownerReferences": [owner_reference(service, SERVICES)],
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"],
                    "conditions": {"ready": True},
                }
                for n in numbers
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
        await self._client.apply(self._slices, body, "controllers")
        self._written[key] = (uid, replicas)


def _all_ready(deployment: Object) -> Object:
    replicas = int(deployment["spec"]["replicas"])
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        **(dict.fromkeys(counts, replicas) if replicas else {}),
    }
