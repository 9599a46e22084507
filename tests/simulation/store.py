"""What the API server holds: versions, compare-and-set, merge patches, status apart from spec.

Objects are snapshots that nobody changes: a write makes new mappings along its path and shares the
rest, so that reads cost nothing and history is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from serinus.api.types import format_time
from serinus.ports import Conflict, Forbidden, NotFound

Object = Mapping[str, Any]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # second 0 of every run

_GENERATION = {"modeldeployments", "deployments", "httproutes"}
_FIXED = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "name", "namespace",
    "deletionTimestamp",
)  # fmt: skip


class Address(NamedTuple):
    """Where an object is."""

    plural: str
    namespace: str
    name: str


Watcher = Callable[[str, Address, Object], None]  # ADDED | MODIFIED | DELETED, where, what


class Store:
    """Objects by kind, namespace and name. ``now`` gives seconds since the start."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kinds: dict[str, dict[tuple[str, str], Object]] = {}
        self._history: dict[str, dict[tuple[str, str], list[tuple[float, Object | None]]]] = {}
        self._watchers: list[Watcher] = []
        self._where: dict[str, Address] = {}  # uid -> where
        self.namespaces: dict[str, str] = {}  # name -> Active | Terminating
        self.version = 0

    def stamp(self) -> str:
        """The time as objects carry it."""
        return format_time(EPOCH + timedelta(seconds=self._now()))

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def get(self, at: Address) -> Object | None:
        return self._kinds.get(at.plural, {}).get((at.namespace, at.name))

    def by_uid(self, uid: str) -> tuple[Address, Object] | None:
        """The live object with this uid."""
        at = self._where.get(uid)
        found = self.get(at) if at is not None else None
        return (at, found) if at is not None and found is not None else None

    def list(
        self, plural: str, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Object]:
        """In order of namespace and name, as etcd has them."""
        return _select(self._kinds.get(plural, {}), namespace, labels)

    def all(self) -> Iterator[tuple[Address, Object]]:
        for plural, items in self._kinds.items():
            for (namespace, name), item in items.items():
                yield Address(plural, namespace, name), item

    def as_of(self, moment: float) -> Replica:
        """The store as it was at ``moment``."""
        return Replica(self._history, moment)

    # --- writes -------------------------------------------------------------------------------

    def create(self, at: Address, manifest: Object) -> Object:
        phase = self.namespaces.get(at.namespace)
        if phase is None:
            raise NotFound(404, "NotFound", f'namespaces "{at.namespace}" not found')
        if self.get(at) is not None:
            raise Conflict(409, "AlreadyExists", f"{at.plural} {at.name} already exists")
        if phase == "Terminating":
            raise Forbidden(403, "Forbidden", f"namespace {at.namespace} is being terminated")
        meta = {k: v for k, v in manifest.get("metadata", {}).items() if k not in _FIXED}
        made = {
            **manifest,
            "metadata": {
                **meta,
                "name": at.name,
                "namespace": at.namespace,
                "uid": f"00000000-0000-4000-8000-{self.version + 1:012d}",
                "creationTimestamp": self.stamp(),
            },
        }
        if at.plural in _GENERATION:
            made["metadata"]["generation"] = 1
        return self._put("ADDED", at, made)

    def merge(self, at: Address, patch: Object, sub: str = "") -> Object:
        """JSON merge patch. ``sub``: only the status; without it everything but the status."""
        live = self.get(at)
        if live is None:
            raise NotFound(404, "NotFound", f"{at.plural} {at.name} not found")
        self._precondition(at, patch, live)
        fields = {"status": patch.get("status", {})} if sub else _content(patch)
        return self._update(at, live, merge(live, fields))

    def delete(self, at: Address, wanted: Object) -> Object:
        """Removes an object, or marks it where finalizers hold it back.

        ``wanted``: preconditions uid and resourceVersion.
        """
        live = self.get(at)
        if live is None:
            raise NotFound(404, "NotFound", f"{at.plural} {at.name} not found")
        self._precondition(at, {"metadata": wanted}, live)
        if live["metadata"].get("finalizers"):
            if "deletionTimestamp" in live["metadata"]:
                return live
            meta = {**live["metadata"], "deletionTimestamp": self.stamp()}
            return self._put("MODIFIED", at, {**live, "metadata": meta})
        return self._remove(at, live)

    def _precondition(self, at: Address, body: Object, live: Object | None) -> None:
        meta = body.get("metadata", {})
        wanted = {k: meta[k] for k in ("uid", "resourceVersion") if meta.get(k)}
        if wanted and live is None:
            raise Conflict(409, "Conflict", f"{at.plural} {at.name} is not there: {wanted}")
        if live is not None and any(live["metadata"][k] != v for k, v in wanted.items()):
            raise Conflict(409, "Conflict", f"{at.plural} {at.name} has been modified")

    def _update(self, at: Address, live: Object, changed: Object) -> Object:
        if changed == live:
            return live
        if at.plural in _GENERATION and changed.get("spec") != live.get("spec"):
            meta = {**changed["metadata"], "generation": live["metadata"]["generation"] + 1}
            changed = {**changed, "metadata": meta}
        meta = changed["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            return self._remove(at, changed)
        return self._put("MODIFIED", at, changed)

    def _put(self, event: str, at: Address, item: Object) -> Object:
        self.version += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        self._kinds.setdefault(at.plural, {})[at.namespace, at.name] = item
        self._where[item["metadata"]["uid"]] = at
        self._remember(at, item)
        self._tell(event, at, item)
        return item

    def _remove(self, at: Address, item: Object) -> Object:
        self.version += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        del self._kinds[at.plural][at.namespace, at.name]
        self._where.pop(item["metadata"]["uid"], None)
        self._remember(at, None)
        self._tell("DELETED", at, item)
        return item

    def _remember(self, at: Address, item: Object | None) -> None:
        past = self._history.setdefault(at.plural, {}).setdefault((at.namespace, at.name), [])
        past.append((self._now(), item))

    def _tell(self, event: str, at: Address, item: Object) -> None:
        for watcher in self._watchers:
            watcher(event, at, item)


class Replica:
    """The store as it was: what an API server that lags behind answers."""

    def __init__(
        self,
        history: Mapping[str, Mapping[tuple[str, str], Sequence[tuple[float, Object | None]]]],
        moment: float,
    ) -> None:
        self._history = history
        self._moment = moment

    def get(self, at: Address) -> Object | None:
        return self._at(self._history.get(at.plural, {}).get((at.namespace, at.name), ()))

    def list(
        self, plural: str, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Object]:
        past = self._history.get(plural, {})
        items = {key: item for key, p in past.items() if (item := self._at(p)) is not None}
        return _select(items, namespace, labels)

    def _at(self, past: Sequence[tuple[float, Object | None]]) -> Object | None:
        found = None
        for moment, item in past:
            if moment > self._moment:
                break
            found = item
        return found


def _select(
    items: Mapping[tuple[str, str], Object], namespace: str | None, labels: Mapping[str, str]
) -> Sequence[Object]:
    wanted = labels.items()
    return [
        items[key]
        for key in sorted(items)
        if (namespace is None or key[0] == namespace)
        and (not wanted or wanted <= (items[key]["metadata"].get("labels") or {}).items())
    ]


def _content(body: Object) -> dict[str, Any]:
    """What a write to the main resource may change."""
    out = {k: v for k, v in body.items() if k not in {"metadata", "status"}}
    meta = {k: v for k, v in body.get("metadata", {}).items() if k not in _FIXED}
    if meta:
        out["metadata"] = meta
    return out


def merge(live: Any, patch: Any) -> Any:
    """JSON merge patch; the result shares with ``live`` what does not change."""
    if not isinstance(patch, Mapping):
        return patch
    out = dict(live) if isinstance(live, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping):
            out[key] = merge(out.get(key), value)
        else:
            out[key] = value
    return out
