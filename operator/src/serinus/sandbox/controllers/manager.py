"""All of the sandbox's controllers in one program."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from serinus.sandbox import clock
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient, wait_until_serving
from serinus.sandbox.controllers import nodes as nodes_lost
from serinus.sandbox.controllers import scheduling
from serinus.sandbox.controllers.collector import Collector
from serinus.sandbox.controllers.network import Network
from serinus.sandbox.controllers.workloads import Workloads
from serinus.sandbox.events import Recorder
from serinus.sandbox.informer import Informer, WorkQueue
from serinus.sandbox.objects import Key, Object, key_of, name_of, with_condition
from serinus.sandbox.resources import NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS

log = logging.getLogger(__name__)

NODE_PERIOD = 5.0  # seconds between looks at the nodes


async def run(client: KubeClient, ready: Callable[[], None]) -> None:
    """Run every controller until cancelled; ``ready`` is called when all caches are filled."""
    await wait_until_serving(client, seconds=30)
    pods = Informer(client, PODS)
    nodes = Informer(client, NODES)
    events = Recorder(client, "sandbox-controllers")
    async with asyncio.TaskGroup() as group:
        group.create_task(pods.run())
        group.create_task(nodes.run())
        group.create_task(events.run())
        controllers = (
            Workloads(client, pods, events),
            Network(client, pods),
            Scheduler(client, pods, nodes, events),
            NodeWatch(client, pods, nodes),
            Accounts(client),
            Collector(client),
        )
        for controller in controllers:
            group.create_task(controller.run())
        for controller in controllers:
            await controller.synced.wait()
        ready()


class Scheduler:
    """Binds pods to nodes as `scheduling` decides."""

    def __init__(
        self, client: KubeClient, pods: Informer, nodes: Informer, events: Recorder
    ) -> None:
        self._client = client
        self._pods = pods
        self._events = events
        self._nodes = nodes
        self.synced = asyncio.Event()
        self._queue = WorkQueue("pod", self._work)

    async def run(self) -> None:
        """Schedule for ever."""
        async with asyncio.TaskGroup() as group:
            await self._nodes.synced.wait()
            await self._pods.synced.wait()
            self._nodes.on_change(self._node_changed)
            self._pods.on_change(self._pod_changed)
            group.create_task(self._queue.run())
            self.synced.set()

    def _node_changed(self, before: Object | None, after: Object | None) -> None:
        del before, after
        for pod in self._pods.all():
            self._pod_changed(None, pod)

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        del before
        if after is not None and not after["spec"].get("nodeName"):
            self._queue.add(key_of(after))

    async def _work(self, key: Key) -> None:
        pod = self._pods.get(*key)
        if pod is None:
            return
        match scheduling.decide(pod, self._nodes.all()):
            case scheduling.Bind(node):
                await self._bind(pod, node)
            case scheduling.Unschedulable(message):
                await self._cannot(pod, message)

    async def _bind(self, pod: Object, node: str) -> None:
        namespace, name = key_of(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.create_sub(PODS, name, namespace, "binding", binding)
        except ApiError as error:
            if error.conflict:
                return  # bound already, or being deleted; the watch will tell
            raise
        text = f"Successfully assigned {namespace}/{name} to {node}"
        self._events.normal(pod, "Scheduled", text)

    async def _cannot(self, pod: Object, message: str) -> None:
        namespace, name = key_of(pod)
        new = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
        }
        before = (pod.get("status") or {}).get("conditions") or []
        conditions = with_condition(before, new, clock.now())
        if conditions != before:
            status = {"status": {"conditions": conditions}}
            self._pods.written(await self._client.merge(PODS, name, namespace, status, "status"))
            self._events.warning(pod, "FailedScheduling", message)


class NodeWatch:
    """Says that a silent node and its pods are not ready, as `nodes` decides."""

    def __init__(self, client: KubeClient, pods: Informer, nodes: Informer) -> None:
        self._client = client
        self._pods = pods
        self._nodes = nodes
        self.synced = nodes.synced

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(NODE_PERIOD)
            for node in self._nodes.all():
                lost = nodes_lost.decide(node, self._pods.all(), clock.now())
                if lost is not None:
                    await self._say(node, lost)

    async def _say(self, node: Object, lost: nodes_lost.Lost) -> None:
        changes = [(self._pods, pod, conditions) for pod, conditions in lost.pods]
        if lost.conditions is not None:
            changes.append((self._nodes, node, lost.conditions))
        for cache, obj, conditions in changes:
            namespace, name = key_of(obj)
            status = {"status": {"conditions": conditions}}
            try:
                answer = await self._client.merge(cache.resource, name, namespace, status, "status")
            except (ApiError, ApiUnreachableError) as error:
                log.warning("node %s is not heard of: %s", name_of(node), error)
            else:
                cache.written(answer)


class Accounts:
    """Gives every namespace its ServiceAccount ``default``."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._namespaces = Informer(client, NAMESPACES)
        self._accounts = Informer(client, SERVICE_ACCOUNTS)
        self.synced = asyncio.Event()
        self._queue = WorkQueue("namespace", self._work)

    async def run(self) -> None:
        """Work for ever, once both caches are filled."""
        async with asyncio.TaskGroup() as group:
            for informer in (self._namespaces, self._accounts):
                group.create_task(informer.run())
            for informer in (self._namespaces, self._accounts):
                await informer.synced.wait()
            self._namespaces.on_change(lambda old, new: self._queue.add(name_of(new or old or {})))
            self._accounts.on_change(lambda old, new: self._queue.add(key_of(new or old or {})[0]))
            group.create_task(self._queue.run())
            self.synced.set()

    async def _work(self, name: str) -> None:
        namespace = self._namespaces.get("", name)
        if namespace is None or (namespace.get("status") or {}).get("phase") == "Terminating":
            return
        if self._accounts.get(name, "default") is None:
            body = {"metadata": {"name": "default", "namespace": name}}
            try:
                self._accounts.written(await self._client.create(SERVICE_ACCOUNTS, body))
            except ApiError as error:
                if not error.conflict:
                    raise
