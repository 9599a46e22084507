"""Turns committed changes into one client's watch events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.store import Change, Object, Store, Watcher

Keep: TypeAlias = Callable[[Object], bool]
Event: TypeAlias = tuple[str, Object]  # ADDED | MODIFIED | DELETED | BOOKMARK, object
Events: TypeAlias = AsyncGenerator[Event, None]

BOOKMARK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Selection:
    """What a client asked for; namespace None is all of them."""

    namespace: str | None
    keep: Keep

    def sees(self, obj: Object) -> bool:
        """Whether the object is selected."""
        namespace = obj["metadata"].get("namespace")
        return self.namespace in (None, namespace) and self.keep(obj)


def event_for(change: Change, selection: Selection) -> Event | None:
    """Return what a client with this selection sees of a change; None when it sees nothing.

    An object that leaves the selection is DELETED for this client, one that enters is ADDED.
    """
    was = change.before is not None and selection.sees(change.before)
    if change.after is None:
        return ("DELETED", change.last) if was else None
    if selection.sees(change.after):
        return ("MODIFIED" if was else "ADDED", change.after)
    if not was or change.before is None:
        return None
    revision = change.after["metadata"]["resourceVersion"]
    left = {**change.before, "metadata": {**change.before["metadata"], "resourceVersion": revision}}
    return ("DELETED", left)


async def events(
    store: Store,
    watcher: Watcher,
    initial: Iterable[Object],
    selection: Selection,
    *,
    bookmarks: bool,
    deadline: float,
) -> Events:
    """Yield events until ``deadline`` (monotonic seconds); bookmarks say how far the client is."""
    try:
        for obj in initial:
            if selection.sees(obj):
                yield ("ADDED", obj)
        while (left := deadline - time.monotonic()) > 0:
            change = await watcher.next(min(left, BOOKMARK_SECONDS))
            if change is None:
                if bookmarks:
                    yield ("BOOKMARK", {"metadata": {"resourceVersion": str(store.revision)}})
            elif event := event_for(change, selection):
                yield event
    finally:
        watcher.close()


def error_event(error: ApiError) -> dict[str, Any]:
    """Return the event that ends a watch."""
    return {"type": "ERROR", "object": error.to_status()}
