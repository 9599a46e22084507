"""Sets of field paths, as managedFields record them (``fieldsV1``).

A path is a tuple of elements written exactly as fieldsV1 writes them: ``f:name`` for a field,
``k:{"name":"x"}`` for an item of a keyed list, ``v:"x"`` for an item of a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import orjson

from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.schema import Schema

Path: TypeAlias = tuple[str, ...]
FieldSet: TypeAlias = frozenset[Path]

_ANY: Schema = {}


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """Return the nested form that managedFields store."""
    root: dict[str, Any] = {}
    members = set(paths)
    for path in sorted(members):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    for path in members:
        node = root
        for element in path:
            node = node[element]
        if node:
            node["."] = {}
    return _ordered(root)


def _ordered(node: dict[str, Any]) -> dict[str, Any]:
    return {key: _ordered(node[key]) for key in sorted(node)}


def from_fields_v1(tree: Mapping[str, Any]) -> FieldSet:
    """Return the set of paths that a fieldsV1 tree stands for."""
    found: set[Path] = set()

    def walk(node: Mapping[str, Any], path: Path) -> None:
        if (not node and path) or "." in node:
            found.add(path)
        for element, inner in node.items():
            if element != ".":
                walk(inner, (*path, element))

    walk(tree, ())
    return frozenset(found)


def item_element(item: Any, keys: tuple[str, ...], schema: Schema) -> str:
    """Return the path element of a list's item; absent keys take their declared default."""
    if not keys:
        return f"v:{orjson.dumps(item).decode()}"
    properties = schema.get("properties") or {}
    values = {}
    for key in sorted(keys):
        declared = schemas.resolve(properties.get(key, _ANY))
        value = item.get(key, declared.get("default")) if isinstance(item, Mapping) else None
        if value is not None:
            values[key] = value
    return f"k:{orjson.dumps(values).decode()}"


def indexed(value: list[Any], keys: tuple[str, ...], schema: Schema) -> dict[str, Any]:
    """Return a list's items by their path element, in order."""
    inner = schemas.items(schema)
    return {item_element(item, keys, inner): item for item in value}


def field_set(value: Any, schema: Schema, path: Path = ()) -> set[Path]:
    """Return the paths that an applied object owns."""
    found: set[Path] = set()
    if isinstance(value, dict):
        if schemas.is_atomic_map(schema):
            return {path}
        for name, inner in value.items():
            child = schemas.field(schema, name)
            inner_path = (*path, f"f:{name}")
            found |= field_set(inner, child if child is not None else _ANY, inner_path)
            if inner in ({}, None) or not schemas.is_declared(schema, name):
                found.add(inner_path)
    elif isinstance(value, list):
        keys = schemas.list_keys(schema)
        if keys is None:
            return {path}
        inner_schema = schemas.items(schema)
        for element, item in indexed(value, keys, schema).items():
            found |= field_set(item, inner_schema, (*path, element))
            found.add((*path, element))
    else:
        found.add(path)
    found.discard(())
    return found


def granular_containers(value: Any, schema: Schema, path: Path = ()) -> dict[Path, set[Path]]:
    """Return every map and keyed list below the root that is not empty, with all paths in it."""
    found: dict[Path, set[Path]] = {}
    children: list[tuple[Any, Schema, Path]] = []
    if isinstance(value, dict) and value and not schemas.is_atomic_map(schema):
        for name, inner in value.items():
            child = schemas.field(schema, name)
            children.append((inner, child if child is not None else _ANY, (*path, f"f:{name}")))
    elif isinstance(value, list) and value and (keys := schemas.list_keys(schema)) is not None:
        inner_schema = schemas.items(schema)
        for element, item in indexed(value, keys, schema).items():
            children.append((item, inner_schema, (*path, element)))
    if children and path:
        found[path] = field_set(value, schema, path)
    for inner, child, inner_path in children:
        found |= granular_containers(inner, child, inner_path)
    return found


def _whole(value: Any, schema: Schema, path: Path) -> set[Path]:
    """Return the paths below and including ``path``: what appears or goes with a whole value."""
    owned = field_set(value, schema, path)
    depth = len(path)
    return {path} | {found[:end] for found in owned for end in range(depth, len(found) + 1)}


def compare(
    before: Any, after: Any, schema: Schema, path: Path = ()
) -> tuple[set[Path], set[Path]]:
    """Return (added or modified, removed) paths between two states of an object."""
    if before == after and type(before) is type(after):
        return set(), set()
    changed: set[Path] = set()
    removed: set[Path] = set()
    if isinstance(before, dict) and isinstance(after, dict) and not schemas.is_atomic_map(schema):
        left = {f"f:{name}": (inner, name) for name, inner in before.items()}
        right = {f"f:{name}": (inner, name) for name, inner in after.items()}
        for element in left.keys() | right.keys():
            name = (left.get(element) or right[element])[1]
            child = schemas.field(schema, name)
            _compare_child(
                (left[element][0],) if element in left else None,
                (right[element][0],) if element in right else None,
                child if child is not None else _ANY, (*path, element), changed, removed,
            )  # fmt: skip
        return changed, removed
    keys = schemas.list_keys(schema)
    if isinstance(before, list) and isinstance(after, list) and keys is not None:
        old, new = indexed(before, keys, schema), indexed(after, keys, schema)
        inner_schema = schemas.items(schema)
        for element in old.keys() | new.keys():
            item_path = (*path, element)
            _compare_child(
                (old[element],) if element in old else None,
                (new[element],) if element in new else None,
                inner_schema, item_path, changed, removed,
            )  # fmt: skip
            if element not in old:
                changed.add(item_path)
            elif element not in new:
                removed.add(item_path)
        return changed, removed
    changed.add(path)
    if isinstance(before, dict | list):
        removed |= _whole(before, schema, path) - {path}
    if isinstance(after, dict | list):
        changed |= field_set(after, schema, path)
    return changed, removed


def _compare_child(
    before: tuple[Any] | None,
    after: tuple[Any] | None,
    schema: Schema,
    path: Path,
    changed: set[Path],
    removed: set[Path],
) -> None:
    if before is None and after is not None:
        changed |= _whole(after[0], schema, path)
    elif after is None and before is not None:
        removed |= _whole(before[0], schema, path)
    elif before is not None and after is not None:
        more_changed, more_removed = compare(before[0], after[0], schema, path)
        changed |= more_changed
        removed |= more_removed


def display(path: Path) -> str:
    """Return ``.spec.containers[name="app"].image``, as conflict messages show paths."""
    text = ""
    for element in path:
        kind, rest = element[0], element[2:]
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            pairs = orjson.loads(rest)
            inner = ",".join(
                f"{key}={orjson.dumps(value).decode()}" for key, value in pairs.items()
            )
            text += f"[{inner}]"
        else:
            text += f"[={rest}]" if kind == "v" else f"[{rest}]"
    return text
