"""Tables: what ``kubectl get`` shows is made by the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from serinus.sandbox.apiserver import columns
from serinus.sandbox.apiserver.ages import age
from serinus.sandbox.apiserver.errors import bad_request
from serinus.sandbox.apiserver.jsonpath import compile_path
from serinus.sandbox.apiserver.resources import Column, Resource
from serinus.sandbox.apiserver.store import Object

_DEFAULT_COLUMNS = (
    Column("Name", "string", format="name"),
    Column("Age", "date", ".metadata.creationTimestamp"),
)


def wants_table(accept: str) -> bool:
    """Whether the client prefers a v1 Table."""
    for choice in accept.split(","):
        parameters = {part.strip() for part in choice.split(";")}
        if "as=Table" in parameters and parameters & {"v=v1", "application/json"}:
            return "v=v1" in parameters
        if choice.split(";")[0].strip() in ("application/json", "*/*"):
            return False
    return False


def wants_metadata(accept: str) -> bool:
    """Whether the client takes nothing but ``PartialObjectMetadata``, or prefers it."""
    first = accept.split(",", maxsplit=1)[0].replace(" ", "")
    return ";as=PartialObjectMetadata" in first


def metadata_only(obj: Object) -> Object:
    """Return the ``PartialObjectMetadata`` of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _cell(column: Column, obj: Object, now: float) -> Any:
    found = compile_path(column.json_path)(obj)
    if not found or found[0] is None:
        return None
    if column.type == "date":
        return age(found[0], now)
    if column.type == "string":
        return ",".join(value if isinstance(value, str) else _plain(value) for value in found)
    return found[0]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return orjson.dumps(value).decode()


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _columns(resource: Resource) -> tuple[Column, ...]:
    if not resource.custom:
        return columns.definitions(resource) or _DEFAULT_COLUMNS
    if not resource.columns:
        return _DEFAULT_COLUMNS
    return (_DEFAULT_COLUMNS[0], *resource.columns)


def _cells(resource: Resource, obj: Object, now: float) -> list[Any]:
    name = obj["metadata"]["name"]
    if not resource.custom and columns.definitions(resource):
        named = [] if resource.kind == "Event" else [name]
        return [*named, *columns.cells(resource, obj, now)]
    return [name, *(_cell(column, obj, now) for column in _columns(resource)[1:])]


def _shown_object(resource: Resource, obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    return metadata_only(obj)


def table(
    resource: Resource,
    objects: Iterable[Object],
    metadata: dict[str, Any],
    now: float,
    *,
    include: str = "Metadata",
    with_columns: bool = True,
) -> dict[str, Any]:
    """Return a ``Table`` of objects; ``include`` is the query parameter includeObject.

    Raises:
        ApiError: 400 for another ``include``.
    """
    if include not in ("", "None", "Metadata", "Object"):
        raise bad_request(f"unrecognized includeObject value: {include!r}")
    rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": _cells(resource, obj, now)}
        shown = _shown_object(resource, obj, include)
        if shown is not None:
            row["object"] = shown
        rows.append(row)
    definitions = [_definition(column) for column in _columns(resource)] if with_columns else []
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    }
