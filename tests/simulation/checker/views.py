"""Readers of stored objects: the few facts that the invariants are about.

Written from the public API alone, so that a mistake of the operator's own readers is not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]
Weights = dict[str, int]

LABEL_REVISION = "serinus.dev/revision"
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+)(ms|h|m|s)")


def seconds(text: str) -> float:
    """A duration of the API in seconds: ``1m30s`` -> 90.0."""
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))


def short(revision: str) -> str:
    """The 8 characters that name a revision's objects; commands may already name it so."""
    return revision.rpartition(":")[2][:8]


def meta(item: Object | None) -> Mapping[str, Any]:
    return (item or {}).get("metadata") or {}


def revision_label(item: Object | None) -> str:
    """The short revision that an object belongs to, or an empty string."""
    return str((meta(item).get("labels") or {}).get(LABEL_REVISION, ""))


def controller_uid(item: Object | None) -> str:
    """The uid of the controlling owner, or an empty string."""
    for reference in meta(item).get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference.get("uid", ""))
    return ""


def backends(route: Object | None) -> list[Mapping[str, Any]]:
    """The backendRefs of all rules of an HTTPRoute."""
    rules = ((route or {}).get("spec") or {}).get("rules") or ()
    return [ref for rule in rules for ref in rule.get("backendRefs") or ()]


def weights(route: Object | None) -> Weights:
    """Short revision -> weight. The Gateway API reads an omitted weight as 1."""
    return {str(ref["name"])[-8:]: int(ref.get("weight", 1)) for ref in backends(route)}


def accepted(route: Object | None) -> bool:
    """Whether a Gateway has taken exactly this generation of the route."""
    generation = meta(route).get("generation", 0)
    parents = ((route or {}).get("status") or {}).get("parents") or ()
    for parent in parents:
        conditions = {c.get("type"): c for c in parent.get("conditions") or ()}
        for kind in ("Accepted", "ResolvedRefs"):
            condition = conditions.get(kind) or {}
            if condition.get("status") != "True":
                return False
            if condition.get("observedGeneration", 0) < generation:
                return False
    return bool(parents)


def ready_endpoints(slices: Iterable[Object], key: str) -> int:
    """Ready endpoints in the EndpointSlices of the revision ``key``."""
    return sum(
        bool((endpoint.get("conditions") or {}).get("ready", True))
        for item in slices
        if revision_label(item) == key
        for endpoint in item.get("endpoints") or ()
    )


def replicas(deployment: Object | None) -> int:
    """The pods that a Deployment asks for."""
    value = ((deployment or {}).get("spec") or {}).get("replicas")
    return 1 if value is None else int(value)


def ready_replicas(deployment: Object | None) -> int:
    return int(((deployment or {}).get("status") or {}).get("readyReplicas") or 0)


def template(deployment: Object | None) -> Any:
    return ((deployment or {}).get("spec") or {}).get("template")
