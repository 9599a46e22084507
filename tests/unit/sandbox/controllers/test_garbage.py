"""What happens to objects when their owners go."""

from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.controllers import garbage


def make(
    *owners: str, deleting: bool = False, finalizers: tuple[str, ...] = (), blocks: bool = True
) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": "x",
        "uid": "x",
        "ownerReferences": [{"uid": uid, "blockOwnerDeletion": blocks} for uid in owners],
        "finalizers": list(finalizers),
    }
    if deleting:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta}


def exists(reference: dict[str, Any]) -> bool:
    return bool(reference["uid"].startswith("live"))


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (make(), None),
        (make("live"), None),
        (make("gone"), garbage.DeleteIt("Background")),
        (make("gone", "gone-too"), garbage.DeleteIt("Background")),
        (make("gone", finalizers=(garbage.ORPHAN,)), garbage.DeleteIt("Orphan")),
        (make("gone", deleting=True), None),
        (
            make("gone", "live"),
            garbage.KeepOwners(({"uid": "live", "blockOwnerDeletion": True},)),
        ),
    ],
    ids=[
        "nobody's", "owned", "orphaned", "orphaned twice", "keeps its own", "on its way", "shared",
    ],
)  # fmt: skip
def test_an_object_goes_with_its_last_owner(obj: dict[str, Any], expected: object) -> None:
    assert garbage.for_dependent(obj, exists) == expected


def test_an_owner_in_the_background_does_not_wait() -> None:
    assert garbage.for_owner(make(deleting=True), [make("x")]) is None


def test_an_owner_in_the_foreground_waits_for_those_that_block_it() -> None:
    owner = make(deleting=True, finalizers=(garbage.FOREGROUND,))
    fresh, going = make("x"), make("x", deleting=True)
    loose = make("x", deleting=True, blocks=False)
    assert garbage.for_owner(owner, [fresh]) == garbage.DeleteDependents((fresh,), release=False)
    assert garbage.for_owner(owner, [going]) == garbage.DeleteDependents((), release=False)
    assert garbage.for_owner(owner, [loose]) == garbage.DeleteDependents((), release=True)
    assert garbage.for_owner(owner, []) == garbage.DeleteDependents((), release=True)


def test_an_owner_that_orphans_releases_its_dependents() -> None:
    owner = make(deleting=True, finalizers=(garbage.ORPHAN, "other"))
    child = make("x", "y")
    assert garbage.for_owner(owner, [child]) == garbage.ReleaseDependents((child,))
    assert [ref["uid"] for ref in garbage.without_owner(child, "x")] == ["y"]
    assert garbage.without_finalizer(owner, garbage.ORPHAN) == ["other"]


def test_a_living_owner_asks_for_nothing() -> None:
    assert garbage.for_owner(make(finalizers=(garbage.FOREGROUND,)), [make("x")]) is None
