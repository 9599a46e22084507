"""Who else asks for the addresses of a ModelDeployment: an index of all of them, in memory.

The index is fed by the resync, by watch events and by every reconcile, and may be a little behind.
So nothing is taken by it alone. Before an address goes on record, a listing of all objects must have
shown this object as it is; before it goes into a route, one that shows the claim on record. Whoever
records a claim first and looks second is seen by every other who does so (:func:`rival_of`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from serinus.api.spec import GatewayRef, ModelDeploymentSpec
from serinus.api.status import Claim, ModelDeploymentStatus
from serinus.api.types import format_time, parse_time
from serinus.core.claims import Claimant, rival, same_addresses, wanted
from serinus.core.observed import Invalid
from serinus.ports import Manifest
from serinus.reconcile import kinds
from serinus.reconcile.read import read_spec

if TYPE_CHECKING:
    from serinus.reconcile.deps import Deps, Key

_Name = tuple[str, str]  # namespace and name
_Bucket = tuple[str, str, str]  # Gateway (empty: the default one), path, host name (empty: all)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one object asks for, while it is unknown which Gateway is the default."""

    uid: str
    created: datetime
    hostnames: tuple[str, ...]
    path: str
    gateway: GatewayRef | None
    held: Claim | None


class ClaimIndex:
    """Every ModelDeployment that asks for addresses. An object that cannot be read asks for none."""

    def __init__(self) -> None:
        self._entries: dict[_Name, _Entry | None] = {}
        self._versions: dict[_Name, tuple[str, str]] = {}
        self._buckets: dict[_Bucket, dict[_Name, None]] = {}  # as an ordered set
        self._listed: dict[_Name, tuple[Any, ...]] = {}  # as the latest listing showed them
        self.listing = asyncio.Lock()  # many that wait for a listing share the next one

    def __len__(self) -> int:
        return len(self._entries)

    def replace(self, objects: Iterable[Manifest]) -> None:
        """These are all the objects that there are."""
        gone = dict.fromkeys(self._entries)
        self._listed = {}
        for item in objects:
            self.put(item)
            self._listed[_name(item)] = _claiming(item)
            gone.pop(_name(item), None)
        for name in gone:
            self._forget(name)

    def listed(self, obj: Manifest) -> bool:
        """Whether the latest listing showed the object with this spec and this claim on record."""
        return self._listed.get(_name(obj)) == _claiming(obj)

    def put(self, obj: Manifest) -> None:
        """An object as it was last seen."""
        name, meta = _name(obj), obj["metadata"]
        version = (str(meta.get("uid", "")), str(meta.get("resourceVersion", "")))
        if self._versions.get(name) == version:
            return  # read already: a resync shows every object again
        self._forget(name)
        entry = self._entries[name] = _read(obj)
        self._versions[name] = version
        for bucket in _buckets(name, entry):
            self._buckets.setdefault(bucket, {})[name] = None

    def drop(self, key: Key) -> None:
        """The object is gone."""
        self._forget((key.namespace, key.name))

    def rival(self, key: Key, default: GatewayRef | None) -> tuple[Claimant, Claimant] | None:
        """The object's own claim and the earlier one of another that overlaps it; None when it is first.

        ``default`` is the Gateway of those who name none.
        """
        name = (key.namespace, key.name)
        mine = self._claimant(name, default)
        if mine is None:
            return None
        found: dict[_Name, None] = {}
        for host in mine.hostnames or ("",):
            for gateway in (mine.gateway, ""):
                found.update(dict.fromkeys(self._buckets.get((gateway, mine.path, host), ())))
        others = (self._claimant(other, default) for other in found if other != name)
        first = rival(mine, tuple(other for other in others if other is not None))
        return None if first is None else (mine, first)

    def _claimant(self, name: _Name, default: GatewayRef | None) -> Claimant | None:
        entry = self._entries.get(name)
        gateway = (entry.gateway or default) if entry is not None else None
        if entry is None or gateway is None:
            return None
        address = f"{gateway.namespace or name[0]}/{gateway.name}"
        asked = Claim(
            hostnames=entry.hostnames, path=entry.path, gateway=address, since=entry.created
        )
        held = entry.held
        return Claimant(
            namespace=name[0],
            name=name[1],
            uid=entry.uid,
            created=entry.created,
            hostnames=entry.hostnames,
            path=entry.path,
            gateway=address,
            held=held if held is not None and same_addresses(held, asked) else None,
        )

    def _forget(self, name: _Name) -> None:
        self._versions.pop(name, None)
        for bucket in _buckets(name, self._entries.pop(name, None)):
            others = self._buckets[bucket]
            del others[name]
            if not others:
                del self._buckets[bucket]


def on_record(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, namespace: str, gateway: GatewayRef
) -> bool:
    """Whether the status records the claim to the addresses that the spec asks for."""
    held = status.claim
    asked = wanted(spec, namespace, gateway, held.since) if held is not None else None
    return held is not None and asked is not None and same_addresses(held, asked)


async def rival_of(key: Key, deps: Deps, found: Manifest, *, moving: bool) -> str:
    """Who has claimed an address of this object before it, in words; empty when nobody has.

    ``found`` is the object. ``moving``: an address is about to go on record or into a route. Whoever the
    index knows to be before us is believed; that nobody is, is then looked up.

    Raises:
        ApiError: the objects could not be listed.
    """
    index, default = deps.claims, deps.defaults.gateway
    pair = index.rival(key, default)
    if pair is None and moving:
        async with index.listing:
            if not index.listed(found):
                index.replace(await _list_all(deps))
        pair = index.rival(key, default)
    return "" if pair is None else _tell(*pair)


async def _list_all(deps: Deps) -> Sequence[Manifest]:
    items: list[Manifest] = []
    for namespace in deps.namespaces or (None,):
        items += await deps.kube.list(kinds.MODEL_DEPLOYMENT, namespace, {})
    return items


def _tell(mine: Claimant, other: Claimant) -> str:
    shared = [host for host in mine.hostnames if host in other.hostnames]
    hosts = f"host {', '.join(shared)}" if shared else "every host"
    since = other.held.since if other.held is not None else other.created
    return (
        f"{other.namespace}/{other.name} has claimed {hosts} path {other.path} "
        f"of the Gateway {other.gateway} since {format_time(since)}"
    )


def _read(item: Manifest) -> _Entry | None:
    meta = item["metadata"]
    spec = read_spec(item.get("spec"))
    if isinstance(spec, Invalid):
        return None
    try:
        created = parse_time(meta.get("creationTimestamp"))
    except ValueError:
        return None
    return _Entry(
        uid=str(meta.get("uid", "")),
        created=created,
        hostnames=tuple(sorted(spec.traffic.hostnames)),
        path=spec.traffic.path,
        gateway=spec.traffic.gateway,
        held=_held(item),
    )


def _claiming(item: Manifest) -> tuple[Any, ...]:
    """What of an object others must see: which one it is, its spec, its claim."""
    meta = item["metadata"]
    return meta.get("uid"), meta.get("generation"), (item.get("status") or {}).get("claim")


def _held(item: Manifest) -> Claim | None:
    recorded = (item.get("status") or {}).get("claim")
    try:
        return None if recorded is None else Claim.model_validate(recorded)
    except ValidationError:
        return None


def _buckets(name: _Name, entry: _Entry | None) -> Iterator[_Bucket]:
    if entry is None:
        return
    ref = entry.gateway
    gateway = f"{ref.namespace or name[0]}/{ref.name}" if ref is not None else ""
    for host in dict.fromkeys(entry.hostnames or ("",)):
        yield (gateway, entry.path, host)


def _name(item: Manifest) -> _Name:
    meta = item["metadata"]
    return (str(meta["namespace"]), str(meta["name"]))
