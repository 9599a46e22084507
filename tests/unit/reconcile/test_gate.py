"""No decision on a view of the world that has not seen our own last write."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from memory import CR, KEY, MemoryKube, Shell

from serinus.api import names
from serinus.ports import Kind, Manifest, Ref, Stale
from serinus.reconcile import gate as gate_module
from serinus.reconcile import kinds
from serinus.reconcile.gate import Gate
from serinus.reconcile.loop import reconcile

SERVICE = Ref(kinds.SERVICE, "ml", "churn-1")
LABELS = names.owner_labels("churn")


class Lagging(MemoryKube):
    """Reads answer from a copy of long ago while ``past`` is set."""

    past: dict[Any, Any] | None = None

    def freeze(self) -> None:
        self.past = copy.deepcopy(self.objects)

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        return copy.deepcopy(self.put(ref, manifest))

    async def get(self, ref: Ref) -> Manifest | None:
        if self.past is not None:
            return copy.deepcopy(self.past.get((ref.kind.plural, ref.namespace, ref.name)))
        return await super().get(ref)

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        now = self.objects
        if self.past is not None:
            self.objects = self.past
        try:
            return await super().list(kind, namespace, labels)
        finally:
            self.objects = now


@pytest.fixture
def kube() -> Lagging:
    return Lagging()


@pytest.fixture
def gate(kube: Lagging) -> Gate:
    return Gate(kube)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets seconds pass on the running loop's clock."""
    skipped = 0.0

    def skip(seconds: float) -> None:
        nonlocal skipped
        skipped += seconds
        loop = asyncio.get_running_loop()
        real = type(loop).time
        monkeypatch.setattr(loop, "time", lambda: real(loop) + skipped)

    return skip


async def make(gate: Gate, **spec: Any) -> None:
    await gate.create(SERVICE, {"metadata": {"labels": LABELS}, "spec": spec})


async def listed(gate: Gate, namespace: str | None = "ml") -> list[str]:
    found = await gate.list(kinds.SERVICE, namespace, LABELS)
    return [item["metadata"]["name"] for item in found]


async def test_fresh_reads_pass(gate) -> None:
    await make(gate, a=1)
    assert await gate.get(SERVICE) is not None
    assert await listed(gate) == ["churn-1"]


async def test_an_older_version_is_stale_in_get_and_list_until_ours_is_seen(kube, gate) -> None:
    await make(gate, a=1)
    kube.freeze()
    await make(gate, a=2)
    for read in (gate.get(SERVICE), listed(gate), listed(gate, None)):
        with pytest.raises(Stale, match="as of 1, and we have written 2"):
            await read
    kube.past = None
    assert (await gate.get(SERVICE))["spec"] == {"a": 2}
    kube.freeze()
    await kube.create(SERVICE, {"metadata": {"labels": LABELS}})
    assert await listed(gate) == ["churn-1"]  # others' writes are none of ours


async def test_going_back_behind_our_write_after_it_was_seen_is_stale_too(kube, gate) -> None:
    await make(gate, a=1)
    kube.freeze()
    past = kube.past
    await make(gate, a=2)
    kube.past = None
    await gate.get(SERVICE)
    kube.past = past
    with pytest.raises(Stale):
        await gate.get(SERVICE)


async def test_an_object_that_we_made_and_that_is_missing_is_stale(kube, gate) -> None:
    kube.freeze()
    await make(gate)
    for read in (gate.get(SERVICE), listed(gate)):
        with pytest.raises(Stale, match="missing"):
            await read


async def test_a_list_that_did_not_ask_for_it_may_miss_it(kube, gate) -> None:
    kube.freeze()
    await make(gate)
    assert await gate.list(kinds.SERVICE, "ml", names.owner_labels("other")) == []
    assert await gate.list(kinds.SERVICE, "elsewhere", LABELS) == []
    assert await gate.list(kinds.DEPLOYMENT, "ml", LABELS) == []


async def test_that_somebody_deleted_it_is_believed_after_some_seconds(kube, gate, passing) -> None:
    await make(gate)
    kube.objects.clear()
    with pytest.raises(Stale):
        await gate.get(SERVICE)
    passing(gate_module.MISSING + 1)
    assert await gate.get(SERVICE) is None
    assert await listed(gate) == []


async def test_that_somebody_deleted_it_is_believed_at_once_when_a_watch_has_told(
    kube, gate
) -> None:
    await make(gate)
    uid = kube[SERVICE]["metadata"]["uid"]
    kube.objects.clear()
    gate.gone(SERVICE, "an earlier one of that name")
    with pytest.raises(Stale):
        await gate.get(SERVICE)
    gate.gone(SERVICE, uid)
    assert await gate.get(SERVICE) is None


async def test_what_we_deleted_and_is_still_shown_is_stale(kube, gate) -> None:
    await make(gate)
    live = await gate.get(SERVICE)
    kube.freeze()
    await gate.delete(SERVICE, live["metadata"]["uid"])
    for read in (gate.get(SERVICE), listed(gate)):
        with pytest.raises(Stale, match="we have deleted it"):
            await read
    kube.past = None
    assert await gate.get(SERVICE) is None
    await make(gate)  # another of that name
    assert await listed(gate) == ["churn-1"]


async def test_one_that_waits_for_its_finalizers_is_no_stale_view(kube, gate) -> None:
    await make(gate)
    live = kube[SERVICE]
    await gate.delete(SERVICE, live["metadata"]["uid"])
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    kube.objects["services", "ml", "churn-1"] = live
    assert await gate.get(SERVICE) is not None


async def test_a_read_that_began_before_our_write_is_not_blamed(kube, gate) -> None:
    await make(gate, a=1)
    old = await gate.get(SERVICE)

    class Slow(Lagging):
        async def get(self, ref: Ref) -> Manifest | None:
            await make(gate, a=2)  # answered while the read is on its way
            return old

    kube.__class__ = Slow
    assert await gate.get(SERVICE) == old


async def test_versions_that_are_no_numbers_pass(kube, gate) -> None:
    class Opaque(Lagging):
        def put(self, ref: Ref, manifest: Mapping[str, Any]) -> dict[str, Any]:
            made = super().put(ref, manifest)
            made["metadata"]["resourceVersion"] = f"v{self.version}"
            return made

    kube.__class__ = Opaque
    await make(gate, a=1)
    kube.freeze()
    await make(gate, a=2)
    assert (await gate.get(SERVICE))["spec"] == {"a": 1}
    assert len(gate) == 0


async def test_memory_is_bounded_in_time_and_number(kube, passing) -> None:
    gate = Gate(kube, most=3)
    for number in range(10):
        await gate.create(Ref(kinds.SERVICE, "ml", f"s{number}"), {"metadata": {}})
    assert len(gate) == 3
    passing(gate_module.REMEMBERED + 1)
    await gate.list(kinds.SERVICE, "ml", {})
    assert len(gate) == 0


async def test_events_are_not_remembered(gate) -> None:
    meta = {"name": "churn.1", "resourceVersion": "7"}
    await gate.create(Ref(kinds.EVENT, "ml", ""), {"metadata": meta})
    assert len(gate) == 0


async def test_a_reconcile_on_a_view_before_its_own_commit_decides_nothing() -> None:
    shell = Shell()
    kube = Lagging()
    kube.put(CR, {"spec": {"model": {"uri": "models:/churn/1"}}})
    deps = replace(shell.deps, kube=Gate(kube))
    kube.freeze()
    kube.past, past = None, kube.past
    await reconcile(KEY, deps)
    written = list(kube.writes)
    assert written
    kube.past = past
    with pytest.raises(Stale):
        await reconcile(KEY, deps)
    assert kube.writes == written
