"""Pods come and go under load, as in any cluster, and no client ever notices.

The gateway hears of each deletion two seconds late: until then it sends requests to a pod that drains.

Five restarts; SERINUS_TEST_RESTARTS says another number, and CI takes 20. ``-rP --log-level=INFO`` shows the
numbers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from open_loop import OpenLoop
from story import SPEC, Story

from serinus.api import names
from serinus.ports import Manifest, Ref
from serinus.reconcile import kinds

RESTARTS = int(os.environ.get("SERINUS_TEST_RESTARTS", "5"))
REPLICAS = 2
RATE = 200.0  # requests per second
# A busy machine may stand still for seconds, and what is due meanwhile comes all at once; how a
# server sheds load is told elsewhere.
SERVER = {
    **SPEC["server"],
    "replicas": REPLICAS,
    "requestLimits": {"maxConcurrent": 4096},
}
READY_SECONDS = 60.0  # for one replacement: a server's start is seconds of pure computation
GONE_SECONDS = 40.0
LATE_SECONDS = 2.0

log = logging.getLogger(__name__)
pytestmark = pytest.mark.timeout(120 + RESTARTS * 30)


async def test_pods_are_deleted_under_load_and_no_request_fails(story: Story) -> None:
    await story.given_version_1_serves(server=SERVER)
    pods = await full_strength(story)
    assert len(processes_with(f"/{story.namespace}_")) == REPLICAS
    served = {uid(pod) for pod in pods}
    load = OpenLoop(story.sandbox.gateway_url, story.host, "churn", story.rows, RATE)
    async with load:
        for _ in range(RESTARTS):
            oldest = min(pods, key=age)
            async with late_gateway(story):
                await story.kube.delete(ref(oldest), uid(oldest))
            pods = await full_strength(story, without=uid(oldest))
            served |= {uid(pod) for pod in pods}
        await only_these_are_left(story, pods)
    counts = await gateway_counts(story)
    log.info("%d restarts: %s; gateway: %s", RESTARTS, load.tally, dict(counts))

    assert len(served) == REPLICAS + RESTARTS, "every deletion brought one new pod"
    assert load.tally.failed == 0, load.tally.problems
    assert load.tally.wrong == 0, load.tally.problems
    assert len(load.tally.revisions) == 1
    assert sum(load.tally.answers.values()) == load.tally.sent
    # Not every gateway tries again: what clients see must not rest on it.
    assert counts["upstream_rq_total"] == load.tally.sent
    assert counts["upstream_rq_retry"] == 0

    status = await story.status()
    assert status.phase == "Ready"
    assert not status.history, "a pod that goes is no reason for a rollout"
    live = await story.kube.get(story.ref)
    assert live is not None
    await story.kube.delete(story.ref, live["metadata"]["uid"])
    await story.nothing_is_left()
    await no_process_is_left(story)


@asynccontextmanager
async def late_gateway(story: Story) -> AsyncIterator[None]:
    """What changes inside is news to Envoy only seconds after, as in a large cluster.

    The sandbox's own gateway hears of it in milliseconds, and a server that does not drain would pass.
    """
    (gateway,) = (s.pid for s in story.sandbox.states() if s.name == "gateway" and s.pid)
    os.kill(gateway, signal.SIGSTOP)  # Envoy is a process of its own, and goes on
    try:
        yield
        await asyncio.sleep(LATE_SECONDS)
    finally:
        os.kill(gateway, signal.SIGCONT)


def uid(pod: Manifest) -> str:
    return str(pod["metadata"]["uid"])


def age(pod: Manifest) -> tuple[str, str]:
    """Sorts by when it was made; two of the same second, by name."""
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


def ref(pod: Manifest) -> Ref:
    return Ref(kinds.POD, pod["metadata"]["namespace"], pod["metadata"]["name"])


def is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def the_pods(story: Story) -> list[Manifest]:
    return list(await story.kube.list(kinds.POD, story.namespace, {names.LABEL_NAME: "churn"}))


async def full_strength(story: Story, without: str = "") -> list[Manifest]:
    """Waits for all replicas, ready and meant to stay, none of them the pod ``without``."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            staying = [p for p in await the_pods(story) if "deletionTimestamp" not in p["metadata"]]
            good = [p for p in staying if is_ready(p) and uid(p) != without]
            if len(good) == len(staying) == REPLICAS:
                return good
            await asyncio.sleep(0.2)


async def only_these_are_left(story: Story, pods: list[Manifest]) -> None:
    """Waits until the pods that were deleted have drained and are gone; the load goes on meanwhile."""
    wanted = {uid(pod) for pod in pods}
    async with asyncio.timeout(GONE_SECONDS):
        while True:
            if {uid(pod) for pod in await the_pods(story)} == wanted:
                return
            await asyncio.sleep(0.2)


async def gateway_counts(story: Story) -> Counter[str]:
    """Envoy's own account of its requests to this story's pods."""
    (address,) = story.sandbox.kubeconfig.parent.rglob("admin-address")
    url = f"http://{address.read_text().strip()}/stats"
    wanted = {"filter": rf"^cluster\.{story.namespace}/.*(upstream_rq_|upstream_cx_)"}
    found: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session, session.get(url, params=wanted) as answer:
        for line in (await answer.text()).splitlines():
            name, _, value = line.partition(": ")
            if value.isdigit() and value != "0":
                found[name.rpartition(".")[2]] += int(value)
    return found


async def no_process_is_left(story: Story) -> None:
    """No server of this story runs any more: their folders have the namespace in their names."""
    async with asyncio.timeout(GONE_SECONDS):
        while True:
            if not processes_with(f"/{story.namespace}_"):
                return
            await asyncio.sleep(0.2)


def processes_with(mark: str) -> list[str]:
    """Ids of the processes in whose environment ``mark`` is."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in file.read_bytes():
                found.append(file.parent.name)
        except OSError:  # it has ended, or is another user's
            continue
    return found
