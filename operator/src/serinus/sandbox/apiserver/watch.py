"""Turns committed changes into one client's watch events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.store import Change, Object, Store, Watcher

Keep: TypeAlias = Callable[[Mapping[str, Any]], bool]
Event: TypeAlias = tuple[str, Object]  # ADDED | MODIFIED | DELETED | BOOKMARK | ERROR, object

BOOKMARK_SECONDS = 10.0


def event_for(change: Change, namespace: str | None, keep: Keep) -> Event | None:
    """Return what a client with this selection sees of a change; None when it sees nothing."""
    if namespace is not None and change.last["metadata"].get("namespace") != namespace:
        return None
    was = change.before is not None and keep(change.before)
    if change.after is None:
        return ("DELETED", change.last) if was else None
    if keep(change.after):
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
    namespace: str | None,
    keep: Keep,
    *,
    bookmarks: bool,
    deadline: float,
    clock: Callable[[], float],
) -> AsyncIterator[Event]:
    """Yield events until ``deadline`` on ``clock``; bookmarks say how far the client is."""
    try:
        for obj in initial:
            yield ("ADDED", obj)
        while (left := deadline - clock()) > 0:
            change = await watcher.next(min(left, BOOKMARK_SECONDS))
            if change is None:
                if bookmarks:
                    yield ("BOOKMARK", {"metadata": {"resourceVersion": str(store.revision)}})
            elif event := event_for(change, namespace, keep):
                yield event
    finally:
        watcher.close()


def error_event(error: ApiError) -> dict[str, Any]:
    """Return the event that ends a watch."""
    return {"type": "ERROR", "object": error.to_status()}
