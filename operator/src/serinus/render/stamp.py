"""What we write on our own objects to know them again: who changed them since, and for which commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from serinus.api import names

_DIGEST_LENGTH = 16


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """16 hex characters that tell one value from another; no protection against forgery."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:_DIGEST_LENGTH]


def annotation(live: Mapping[str, Any], name: str) -> str:
    """An annotation's text; empty when it is not there or is no text."""
    value = (live.get("metadata", {}).get("annotations") or {}).get(name)
    return value if isinstance(value, str) else ""


def route_stamp(spec: Mapping[str, Any], fence: str) -> dict[str, str]:
    """The annotations of a route with this spec, written for the commit ``fence``."""
    stamp = {names.ANNOTATION_WRITTEN: digest(spec)}
    return {**stamp, names.ANNOTATION_FENCE: fence} if fence else stamp


def route_drifted(live: Mapping[str, Any]) -> bool:
    """Whether somebody else changed the route since we wrote it.

    One without any annotation of ours is from an earlier release, and nobody can know.
    """
    written = annotation(live, names.ANNOTATION_WRITTEN)
    if not written:
        return bool(annotation(live, names.ANNOTATION_FENCE))
    return written != digest(live.get("spec"))


def workload_stamp(template: Mapping[str, Any], replicas: int, admitted: str) -> dict[str, str]:
    """The annotations of a Deployment: its template and size as we give them, and when it was admitted."""
    stamp = {
        names.ANNOTATION_TEMPLATE: canonical(template),
        names.ANNOTATION_REPLICAS: str(replicas),
    }
    return {**stamp, names.ANNOTATION_ADMITTED: admitted} if admitted else stamp


def stamped_template(live: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pod template that a Deployment was admitted with; None when it does not say so readably."""
    try:
        told = json.loads(annotation(live, names.ANNOTATION_TEMPLATE) or "null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get("spec"), dict):
        return None
    containers = told["spec"].get("containers")
    return told if isinstance(containers, list) and containers else None
