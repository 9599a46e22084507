"""What becomes of watch events: keys, claims, and what the gate may forget."""

from __future__ import annotations

from typing import Any

import pytest
from memory import MemoryKube

from serinus.api import names
from serinus.app.handlers import OWNED, Sightings, make_registry
from serinus.app.settings import Settings
from serinus.app.workqueue import WorkQueue
from serinus.ports import Ref
from serinus.reconcile import kinds
from serinus.reconcile.claims import ClaimIndex
from serinus.reconcile.deps import Key
from serinus.reconcile.gate import Gate

KEY = Key("ml", "churn")
SERVICE = Ref(kinds.SERVICE, "ml", "churn-1")


@pytest.fixture
async def seen() -> Sightings:
    return Sightings(WorkQueue(), ClaimIndex(), Gate(MemoryKube()))


def event(kind: str | None, name: str = "churn", **more: Any) -> Any:
    meta = {
        "namespace": "ml",
        "name": name,
        "uid": "1",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": names.owner_labels("churn"),
        **more,
    }
    spec = {"model": {"uri": "models:/churn/1"}, "traffic": {"hostnames": ["a.example.com"]}}
    return {"type": kind, "object": {"metadata": meta, "spec": spec}}


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
async def test_every_change_of_an_object_or_its_children_wakes_its_key(seen, kind) -> None:
    seen.changed(event(kind))
    assert await seen.queue.take() == KEY
    seen.queue.done(KEY)
    seen.owned_changed(kinds.SERVICE, event(kind, "churn-1"))
    assert await seen.queue.take() == KEY


async def test_what_a_watch_lists_when_it_begins_wakes_nobody_and_is_known(seen) -> None:
    seen.changed(event(None))
    seen.owned_changed(kinds.SERVICE, event(None, "churn-1"))
    assert len(seen.queue) == 0
    assert len(seen.claims) == 1


async def test_claims_go_with_their_object(seen) -> None:
    seen.changed(event("ADDED"))
    seen.changed(event("DELETED"))
    assert len(seen.claims) == 0


async def test_the_gate_does_not_wait_for_what_a_watch_has_seen_go(seen) -> None:
    made = await seen.gate.create(SERVICE, {"metadata": {"labels": names.owner_labels("churn")}})
    assert len(seen.gate) == 1
    seen.owned_changed(kinds.SERVICE, event("DELETED", "churn-1", uid=made["metadata"]["uid"]))
    assert len(seen.gate) == 0


async def test_every_owned_kind_is_watched(seen) -> None:
    registry = make_registry(seen, Settings())
    watched = {str(handler.id) for handler in registry._watching.get_all_handlers()}
    assert {f"owned-{kind.plural}" for kind in OWNED} <= watched
    assert len(watched) == len(OWNED) + 1
