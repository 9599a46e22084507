"""The hands of Deployments and ReplicaSets: they do what `deployments` and `replicasets` decide."""

from __future__ import annotations

import asyncio
import logging

from serinus.sandbox import clock
from serinus.sandbox.client import ApiError, KubeClient
from serinus.sandbox.controllers import deployments, replicasets
from serinus.sandbox.events import Recorder
from serinus.sandbox.informer import Informer, WorkQueue
from serinus.sandbox.objects import (
    Key,
    Object,
    controller_uid,
    key_of,
    name_of,
    namespace_of,
    uid_of,
)
from serinus.sandbox.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from serinus.sandbox.statuses import same

log = logging.getLogger(__name__)


def _owner_keys(kind: str, *objects: Object | None) -> set[Key]:
    """The controllers of that kind of these objects."""
    return {
        (namespace_of(obj), ref["name"])
        for obj in objects
        if obj is not None
        for ref in obj["metadata"].get("ownerReferences") or []
        if ref.get("controller") and ref["kind"] == kind
    }


class Workloads:
    """Deployment -> ReplicaSet -> Pod."""

    def __init__(self, client: KubeClient, pods: Informer, recorder: Recorder) -> None:
        self._client = client
        self._events = recorder
        self._pods = pods
        self._deployments = Informer(client, DEPLOYMENTS)
        self._sets = Informer(client, REPLICA_SETS)
        self.synced = asyncio.Event()
        self._deployment_queue = WorkQueue("deployment", self._deployment)
        self._set_queue = WorkQueue("replicaset", self._replica_set)

    async def run(self) -> None:
        """Work for ever, once all caches are filled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deployments.run())
            group.create_task(self._sets.run())
            for informer in (self._deployments, self._sets, self._pods):
                await informer.synced.wait()
            self._deployments.on_change(
                lambda old, new: self._deployment_queue.add(key_of(new or old or {}))
            )
            self._sets.on_change(self._set_changed)
            self._pods.on_change(self._pod_changed)
            group.create_task(self._deployment_queue.run())
            group.create_task(self._set_queue.run())
            self.synced.set()

    def _set_changed(self, before: Object | None, after: Object | None) -> None:
        self._set_queue.add(key_of(after or before or {}))
        for key in _owner_keys("Deployment", before, after):
            self._deployment_queue.add(key)

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        for key in _owner_keys("ReplicaSet", before, after):
            self._set_queue.add(key)

    async def _deployment(self, key: Key) -> None:
        deployment = self._deployments.get(*key)
        if deployment is None:
            return
        uid = uid_of(deployment)
        owned = [rs for rs in self._sets.all(key[0]) if controller_uid(rs) == uid]
        plan = deployments.decide(deployment, owned, clock.now())
        if plan.create is not None:
            await self._create_set(deployment, plan.create)
        for scale in plan.scales:
            await self._scale(deployment, scale)
        for rs in plan.forget:
            await self._client.delete(REPLICA_SETS, name_of(rs), key[0], uid=uid_of(rs))
        new = deployments.find_new(deployment, owned)
        if plan.revision is not None and new is not None:
            patch = {"metadata": {"annotations": {deployments.REVISION: plan.revision}}}
            self._sets.written(await self._client.merge(REPLICA_SETS, name_of(new), key[0], patch))
        if plan.annotations:
            patch = {"metadata": {"annotations": plan.annotations}}
            await self._client.merge(DEPLOYMENTS, key[1], key[0], patch)
        if not same(deployment.get("status"), plan.status):
            self._deployments.written(
                await self._client.merge(
                    DEPLOYMENTS, key[1], key[0], {"status": plan.status}, "status"
                )
            )
        if plan.look_again is not None:
            self._deployment_queue.add_after(key, plan.look_again.total_seconds())

    async def _create_set(self, deployment: Object, body: Object) -> None:
        try:
            made = await self._client.create(REPLICA_SETS, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            live = await self._client.get(REPLICA_SETS, name_of(body), namespace_of(body))
            if controller_uid(live) == uid_of(deployment):
                self._sets.written(live)
                return
            count = (deployment.get("status") or {}).get("collisionCount", 0) + 1
            self._deployments.written(
                await self._client.merge(
                    DEPLOYMENTS,
                    name_of(deployment),
                    namespace_of(deployment),
                    {"status": {"collisionCount": count}},
                    "status",
                )
            )
            return
        self._sets.written(made)
        self._tell_scaled(deployment, made, 0, made["spec"].get("replicas", 1))

    async def _scale(self, deployment: Object, scale: deployments.Scale) -> None:
        rs = scale.replica_set
        patch = {
            "metadata": {"annotations": deployments.size_annotations(deployment)},
            "spec": {"replicas": scale.replicas},
        }
        before = deployments.replicas_of(rs)
        self._sets.written(
            await self._client.merge(REPLICA_SETS, name_of(rs), namespace_of(rs), patch)
        )
        self._tell_scaled(deployment, rs, before, scale.replicas)

    def _tell_scaled(self, deployment: Object, rs: Object, before: int, after: int) -> None:
        if before != after:
            way = "up" if after > before else "down"
            text = f"Scaled {way} replica set {name_of(rs)} from {before} to {after}"
            self._events.normal(deployment, "ScalingReplicaSet", text)

    async def _replica_set(self, key: Key) -> None:
        rs = self._sets.get(*key)
        if rs is None:
            return
        pods = [pod for pod in self._pods.all(key[0]) if controller_uid(pod) == uid_of(rs)]
        plan = replicasets.decide(rs, pods, clock.now())
        for _ in range(plan.create):
            pod = await self._client.create(PODS, replicasets.make_pod(rs))
            self._pods.written(pod)
            self._events.normal(rs, "SuccessfulCreate", f"Created pod: {name_of(pod)}")
        for pod in plan.delete:
            answer = await self._client.delete(PODS, name_of(pod), key[0], uid=uid_of(pod))
            if answer is not None and answer.get("kind") == "Pod":
                self._pods.written(answer)
            else:
                self._pods.removed(pod)
            self._events.normal(rs, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
        if not same(rs.get("status"), plan.status):
            self._sets.written(
                await self._client.merge(
                    REPLICA_SETS, key[1], key[0], {"status": plan.status}, "status"
                )
            )
        if plan.look_again is not None:
            self._set_queue.add_after(key, plan.look_again.total_seconds())
