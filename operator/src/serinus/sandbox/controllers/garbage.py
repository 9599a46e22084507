"""Garbage collection: what happens to an object when its owners go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from serinus.sandbox.objects import Object, is_deleting, uid_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class DeleteIt:
    """All owners are gone: delete the object, with that propagation policy."""

    policy: str


@dataclass(frozen=True, slots=True)
class KeepOwners:
    """Some owners are gone: the object keeps these references."""

    references: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class ReleaseDependents:
    """The owner goes and orphans these: take its reference from them, then its finalizer."""

    dependents: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class DeleteDependents:
    """The owner waits in the foreground: delete these; when none blocks it, let it go."""

    dependents: tuple[Object, ...]
    release: bool


def for_dependent(
    obj: Object, owner_exists: Callable[[Object], bool]
) -> DeleteIt | KeepOwners | None:
    """What to do with an object because of its owners. None: nothing."""
    references = obj["metadata"].get("ownerReferences") or []
    if not references or is_deleting(obj):
        return None
    kept = [ref for ref in references if owner_exists(ref)]
    if len(kept) == len(references):
        return None
    if kept:
        return KeepOwners(tuple(kept))
    finalizers = obj["metadata"].get("finalizers") or []
    if ORPHAN in finalizers:
        return DeleteIt("Orphan")
    return DeleteIt("Foreground" if FOREGROUND in finalizers else "Background")


def for_owner(
    owner: Object, dependents: Iterable[Object]
) -> ReleaseDependents | DeleteDependents | None:
    """What to do because an object that owns others is on its way out. None: nothing."""
    if not is_deleting(owner):
        return None
    finalizers = owner["metadata"].get("finalizers") or []
    owned = tuple(dependents)
    if ORPHAN in finalizers:
        return ReleaseDependents(owned)
    if FOREGROUND in finalizers:
        going = tuple(obj for obj in owned if not is_deleting(obj))
        blocking = any(_blocks(obj, uid_of(owner)) for obj in owned)
        return DeleteDependents(going, release=not blocking)
    return None


def _blocks(dependent: Object, owner: str) -> bool:
    return any(
        ref.get("blockOwnerDeletion") and ref["uid"] == owner
        for ref in dependent["metadata"].get("ownerReferences") or []
    )


def without_owner(obj: Object, owner: str) -> list[Object]:
    """The object's owner references without those to that uid."""
    references = obj["metadata"].get("ownerReferences") or []
    return [ref for ref in references if ref["uid"] != owner]


def without_finalizer(obj: Object, finalizer: str) -> list[str]:
    """The object's finalizers without that one."""
    return [name for name in obj["metadata"].get("finalizers") or [] if name != finalizer]
