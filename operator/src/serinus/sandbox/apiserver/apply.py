"""Server-side apply: merging an applied configuration, and who owns which field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from serinus.sandbox.apiserver import fields
from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import ApiError, Cause
from serinus.sandbox.apiserver.fields import FieldSet, Path
from serinus.sandbox.apiserver.schema import Schema

# Fields that the server itself keeps: nobody owns them.
_SERVER_FIELDS = frozenset(
    ("f:metadata", f"f:{name}")
    for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
        "managedFields", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds",
    )
) | {("f:apiVersion",), ("f:kind",), ("f:metadata",)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str  # Apply | Update
    api_version: str
    subresource: str
    time: str  # RFC 3339; not part of the identity
    owned: FieldSet

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes two entries the same manager."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.name, self.operation, version, self.subresource)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as metadata.managedFields shows it."""
        entry = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields.to_fields_v1(self.owned),
        }
        return {**entry, "subresource": self.subresource} if self.subresource else entry

    def describe(self) -> str:
        """Return how conflict messages call this manager."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version} at {self.time}"
        return text


def managers_of(obj: Mapping[str, Any] | None) -> list[Manager]:
    """Read metadata.managedFields."""
    entries = obj["metadata"].get("managedFields") or [] if obj else []
    return [
        Manager(
            name=entry.get("manager", ""),
            operation=entry.get("operation", "Update"),
            api_version=entry.get("apiVersion", ""),
            subresource=entry.get("subresource", ""),
            time=entry.get("time", ""),
            owned=fields.from_fields_v1(entry.get("fieldsV1") or {}),
        )
        for entry in entries
    ]


def _current_managers(obj: Mapping[str, Any] | None, schema: Schema) -> list[Manager]:
    """Return the managers as they stand towards the object's schema today.

    Who owns a map or list but nothing in it may have owned it when it was atomic, so the real
    server gives all of the content to that manager.
    """
    managers = managers_of(obj)
    if not managers or obj is None:
        return managers
    containers = fields.granular_containers(_unmanaged(obj), schema)
    result = []
    for manager in managers:
        inner = _prefixes(path[:-1] for path in manager.owned)
        bare = [path for path in manager.owned if path in containers and path not in inner]
        more: set[Path] = set().union(*(containers[path] for path in bare))
        result.append(replace(manager, owned=manager.owned | more) if more else manager)
    return result


def to_managed_fields(managers: Iterable[Manager]) -> list[dict[str, Any]]:
    """Return managedFields in the real server's order: applied first, then by time and name."""
    ordered = sorted(managers, key=lambda m: (m.operation, m.time, m.name, m.subresource))
    return [manager.to_dict() for manager in ordered if manager.owned]


def _without_server_fields(paths: Iterable[Path], reset: frozenset[str] = frozenset()) -> set[Path]:
    return {path for path in paths if path not in _SERVER_FIELDS and path[0] not in reset}


def _disown(
    managers: Iterable[Manager], actor: Manager, changed: set[Path], removed: set[Path]
) -> list[Manager]:
    """Take what ``actor`` changed, and what is gone, from the other managers."""
    return [
        replace(other, owned=other.owned - changed - removed)
        for other in managers
        if other.identity != actor.identity
    ]


def record_update(
    before: Mapping[str, Any] | None, after: Mapping[str, Any], actor: Manager, schema: Schema
) -> list[dict[str, Any]]:
    """Return managedFields after a create, update or patch by ``actor`` (its ``owned`` is ignored)."""
    managers = _current_managers(before, schema)
    found, gone = fields.compare(_unmanaged(before or {}), _unmanaged(after), schema)
    changed = _without_server_fields(found)
    previous = next((m for m in managers if m.identity == actor.identity), None)
    others = _disown(managers, actor, changed, gone)
    owned = ((previous.owned if previous else frozenset()) | changed) - gone
    if previous is not None and owned == previous.owned and not changed:
        others.append(previous)
    elif owned:
        others.append(replace(actor, owned=frozenset(owned)))
    return to_managed_fields(others)


def _unmanaged(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


def merge(live: Any, applied: Any, schema: Schema) -> Any:
    """Return ``live`` with the applied configuration laid over it."""
    if isinstance(live, dict) and isinstance(applied, dict) and not schemas.is_atomic_map(schema):
        result = dict(live)
        for name, value in applied.items():
            result[name] = merge(live.get(name), value, schemas.field(schema, name) or {})
        return result
    keys = schemas.list_keys(schema)
    if isinstance(live, list) and isinstance(applied, list) and keys is not None:
        inner = schemas.items(schema)
        wanted = fields.indexed(applied, keys, schema)
        merged = {
            element: merge(item, wanted[element], inner) if element in wanted else item
            for element, item in fields.indexed(live, keys, schema).items()
        }
        for element, item in wanted.items():
            merged.setdefault(element, item)
        return list(merged.values())
    return applied


def _remove(value: Any, schema: Schema, path: Path, gone: frozenset[Path]) -> Any:
    if isinstance(value, dict) and not schemas.is_atomic_map(schema):
        result = {}
        for name, inner in value.items():
            inner_path = (*path, f"f:{name}")
            if inner_path not in gone:
                child = schemas.field(schema, name)
                left = _remove(inner, child or {}, inner_path, gone)
                if left not in ({}, []) or left == inner:  # what was emptied goes too
                    result[name] = left
        return result
    keys = schemas.list_keys(schema)
    if isinstance(value, list) and keys is not None:
        inner_schema = schemas.items(schema)
        return [
            _remove(item, inner_schema, (*path, element), gone)
            for element, item in fields.indexed(value, keys, schema).items()
            if (*path, element) not in gone
        ]
    return value


def _prefixes(paths: Iterable[Path]) -> set[Path]:
    return {path[:end] for path in paths for end in range(1, len(path) + 1)}


def _named_prefixes(paths: Iterable[Path]) -> set[Path]:
    """The paths and every structure around them: an emptied structure goes with its last field."""
    return set(paths) | {p for p in _prefixes(paths) if p[-1].startswith("f:")}


def apply_configuration(
    live: Mapping[str, Any] | None,
    applied: Mapping[str, Any],
    actor: Manager,
    schema: Schema,
    *,
    force: bool,
    reset: frozenset[str] = frozenset(),
) -> tuple[dict[str, Any], list[Manager]]:
    """Return the merged object and its managers before the server's own changes.

    ``reset`` names the top-level fields that this endpoint ignores, as path elements.

    Raises:
        ApiError: 409 with one cause per field that another manager owns with another value.
    """
    before = _unmanaged(live) if live is not None else {"metadata": {}}
    config = _unmanaged(applied)
    managers = _current_managers(live, schema)
    previous = next((m for m in managers if m.identity == actor.identity), None)
    owned = frozenset(_without_server_fields(fields.field_set(config, schema), reset))
    others = [m for m in managers if m.identity != actor.identity]
    merged = merge(before, config, schema)
    if previous is not None:
        # An item of a list stays only when somebody owns the item itself, not just a field in it.
        kept = _named_prefixes(owned.union(*(m.owned for m in others)))
        gone = frozenset(_named_prefixes(previous.owned) - kept - _SERVER_FIELDS)
        merged = _remove(merged, schema, (), gone)
    changed, removed = fields.compare(before, merged, schema)
    if not force:
        _refuse_conflicts(others, changed)
    current = replace(actor, owned=owned)
    if previous is not None and previous.owned == owned and not (changed or removed):
        current = previous
    return merged, [*_disown(others, actor, changed, removed), current]


def _refuse_conflicts(others: Iterable[Manager], changed: set[Path]) -> None:
    conflicts = [(manager, path) for manager in others for path in sorted(manager.owned & changed)]
    if not conflicts:
        return
    causes = [
        Cause(fields.display(path), "FieldManagerConflict", f"conflict with {who.describe()}")
        for who, path in conflicts
    ]
    if len(conflicts) == 1:
        who, path = conflicts[0]
        text = f"1 conflict: conflict with {who.describe()}: {fields.display(path)}"
    else:
        groups: dict[str, list[str]] = {}
        for who, path in conflicts:
            groups.setdefault(who.describe(), []).append(f"- {fields.display(path)}")
        parts = [f"conflicts with {who}:\n" + "\n".join(groups[who]) for who in sorted(groups)]
        text = f"{len(conflicts)} conflicts: " + "\n".join(parts)
    details = {"causes": [cause.to_dict() for cause in causes]}
    raise ApiError(409, "Conflict", f"Apply failed with {text}", details)
