from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.selectors import object_filter, parse_label_selector
from serinus.sandbox.apiserver.store import Store
from serinus.sandbox.apiserver.watch import Selection, event_for

MAPS = ("", "configmaps")


def obj(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "labels": labels}}


async def seen(store: Store, since: int | None, selector: str = "") -> list[tuple[str, str]]:
    keep = object_filter(parse_label_selector(selector), ())
    watcher = store.watch(MAPS, since)
    events = []
    while not watcher.idle:
        change = await watcher.next(1)
        assert change is not None
        if event := event_for(change, Selection("n", keep)):
            events.append((event[0], event[1]["metadata"]["resourceVersion"]))
    watcher.close()
    return events


async def test_a_watch_replays_what_happened_since() -> None:
    store = Store()
    start = store.revision
    store.put(MAPS, obj("a"))
    middle = store.revision
    store.put(MAPS, obj("a", x="1"))
    store.remove(MAPS, "n", "a")
    assert await seen(store, start) == [("ADDED", "2"), ("MODIFIED", "3"), ("DELETED", "4")]
    assert await seen(store, middle) == [("MODIFIED", "3"), ("DELETED", "4")]
    assert await seen(store, None) == []


async def test_leaving_and_entering_a_selection_is_deleted_and_added() -> None:
    store = Store()
    start = store.revision
    for labels in ({"on": "y"}, {"on": "n"}, {"on": "y", "v": "2"}):
        store.put(MAPS, obj("a", **labels))
    store.remove(MAPS, "n", "a")
    assert await seen(store, start, "on=y") == [
        ("ADDED", "2"),
        ("DELETED", "3"),
        ("ADDED", "4"),
        ("DELETED", "5"),
    ]


async def test_history_is_bounded_and_its_end_is_gone() -> None:
    store = Store(history=2)
    start = store.revision
    for name in "abc":
        store.put(MAPS, obj(name))
    with pytest.raises(ApiError) as refused:
        store.watch(MAPS, start)
    assert (refused.value.code, refused.value.reason) == (410, "Expired")
    assert len(await seen(store, start + 1)) == 2


async def test_a_closed_watcher_gets_nothing() -> None:
    store = Store()
    watcher = store.watch(MAPS, None)
    watcher.close()
    store.put(MAPS, obj("a"))
    assert watcher.idle
    assert await watcher.next(0) is None
