"""Discovery documents: which groups, versions and resources there are."""

from __future__ import annotations

from typing import Any

from serinus.sandbox.apiserver.resources import NAMESPACES, Registry, Resource

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+serinus-sandbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "python",
    "platform": "linux/amd64",
}

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_REVIEWS = ("SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview")


def core_versions() -> dict[str, Any]:
    """Return the document at ``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _groups(registry: Registry) -> dict[str, list[str]]:
    groups = {name: versions for name, versions in registry.group_versions().items() if name}
    groups["authorization.k8s.io"] = ["v1"]
    groups["authentication.k8s.io"] = ["v1"]
    return groups


def group_list(registry: Registry) -> dict[str, Any]:
    """Return the document at ``/apis``."""
    groups = [_group(name, versions) for name, versions in _groups(registry).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> dict[str, Any] | None:
    """Return the document at ``/apis/<group>``."""
    versions = _groups(registry).get(name)
    if versions is None:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _entries(resource: Resource) -> list[dict[str, Any]]:
    main: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": [v for v in _VERBS if resource.key != NAMESPACES or v != "deletecollection"],
    }
    if resource.short_names:
        main["shortNames"] = list(resource.short_names)
    if resource.categories:
        main["categories"] = list(resource.categories)
    entries = [main]
    base = {"singularName": "", "namespaced": resource.namespaced}
    if resource.has_status:
        verbs = ["get", "patch", "update"]
        name = f"{resource.plural}/status"
        entries.append({**base, "name": name, "kind": resource.kind, "verbs": verbs})
    if resource.scale:
        entries.append({
            **base, "name": f"{resource.plural}/scale", "group": "autoscaling", "version": "v1",
            "kind": "Scale", "verbs": ["get", "patch", "update"],
        })  # fmt: skip
    if resource.key == ("", "pods"):
        entries.append({**base, "name": "pods/log", "kind": "Pod", "verbs": ["get"]})
        entries.append({**base, "name": "pods/binding", "kind": "Binding", "verbs": ["create"]})
    if resource.key == ("", "serviceaccounts"):
        entries.append({
            **base, "name": "serviceaccounts/token", "group": "authentication.k8s.io",
            "version": "v1", "kind": "TokenRequest", "verbs": ["create"],
        })  # fmt: skip
    return entries


def _review_entries(version_of: str) -> list[dict[str, Any]]:
    kinds = _REVIEWS if version_of == "authorization.k8s.io" else ("SelfSubjectReview",)
    return [
        {
            "name": f"{kind.lower()}s",
            "singularName": kind.lower(),
            "namespaced": False,
            "kind": kind,
            "verbs": ["create"],
        }
        for kind in kinds
    ]


def resource_list(registry: Registry, group_name: str, version: str) -> dict[str, Any] | None:
    """Return the document at ``/apis/<group>/<version>`` (or ``/api/v1``)."""
    if group_name in ("authorization.k8s.io", "authentication.k8s.io") and version == "v1":
        entries = _review_entries(group_name)
    else:
        entries = [
            entry
            for resource in registry
            if (resource.group, resource.version) == (group_name, version)
            for entry in _entries(resource)
        ]
    if not entries:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group_name}/{version}" if group_name else version,
        "resources": entries,
    }
