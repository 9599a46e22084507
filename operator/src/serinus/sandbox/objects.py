"""Reading Kubernetes objects as plain mappings: keys, owners, labels, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from serinus.sandbox.clock import stamp
from serinus.sandbox.resources import Resource

Object = dict[str, Any]
Key = tuple[str, str]  # namespace ("" when cluster-scoped), name


def key_of(obj: Object) -> Key:
    """Namespace and name."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def is_deleting(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def controller_uid(obj: Object) -> str | None:
    """The uid of the owner that controls the object, if one does."""
    for ref in obj["metadata"].get("ownerReferences") or []:
        if ref.get("controller"):
            return str(ref["uid"])
    return None


def owner_reference(owner: Object, resource: Resource) -> Object:
    """The reference of a controlled object to its controller."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(conditions: Iterable[Object] | None, kind: str) -> Object | None:
    """The condition of that type, if the list has it."""
    return next((c for c in conditions or [] if c.get("type") == kind), None)


def condition_is_true(obj: Object, kind: str) -> bool:
    found = condition((obj.get("status") or {}).get("conditions"), kind)
    return found is not None and found.get("status") == "True"


def with_condition(conditions: Iterable[Object], new: Object, now: datetime) -> list[Object]:
    """The list with ``new`` in place of its type; the transition time moves with the status."""
    result, placed = [], False
    for old in conditions:
        if old.get("type") != new["type"]:
            result.append(old)
            continue
        same = old.get("status") == new["status"]
        moved = old.get("lastTransitionTime") if same else None
        result.append({**new, "lastTransitionTime": moved or stamp(now)})
        placed = True
    if not placed:
        result.append({**new, "lastTransitionTime": stamp(now)})
    return result


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector selects these labels. An empty selector selects everything."""
    selector = selector or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(
        _expression_matches(expression, labels)
        for expression in selector.get("matchExpressions") or []
    )


def _expression_matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"selector operator {other!r} is not known")
