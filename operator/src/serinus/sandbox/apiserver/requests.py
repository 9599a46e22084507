"""Understands a request: which verb on which resource, as the authorizer and the routes see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_METHODS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """The request's attributes; ``plural`` is empty for paths that are no resources."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""


def parse(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Return what the request asks for; other paths get the method as their verb."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return RequestInfo(verb=method.lower(), path=path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "", "")[:3]
    if len(rest) > 3:
        subresource = "/".join(rest[2:])
    if plural == "namespaces" and name:
        namespace = name
    verb = _METHODS.get(method, "get" if name else "list")
    if verb == "delete" and not name:
        verb = "deletecollection"
    if verb == "list" and query.get("watch", "false").lower() in ("1", "true"):
        verb = "watch"
    return RequestInfo(verb, path, group, version, namespace, plural, name, subresource)
