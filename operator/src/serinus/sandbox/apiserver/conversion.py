"""The same object in another version.

Custom resources only change their apiVersion (conversion strategy None). Events are one resource
that two groups show with different field names.
"""

from __future__ import annotations

from serinus.sandbox.apiserver.resources import EVENTS, Resource
from serinus.sandbox.apiserver.store import Object

_CORE_TO_EVENTS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENTS_TO_CORE = {new: old for old, new in _CORE_TO_EVENTS.items()}


def present(resource: Resource, obj: Object) -> Object:
    """Return a stored object as ``resource`` shows it; the stored one is not changed."""
    if obj["apiVersion"] == resource.api_version:
        return obj
    if resource.key == EVENTS:
        names = _EVENTS_TO_CORE if resource.group == "" else _CORE_TO_EVENTS
        obj = {names.get(name, name): value for name, value in obj.items()}
    return {**obj, "apiVersion": resource.api_version}
