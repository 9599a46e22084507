"""Role-based access control over the RBAC objects in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serinus.sandbox.apiserver.credentials import MASTERS, User
from serinus.sandbox.apiserver.errors import ApiError, forbidden
from serinus.sandbox.apiserver.requests import RequestInfo
from serinus.sandbox.apiserver.store import Object, Store

_GROUP = "rbac.authorization.k8s.io"


def _applies_to(subject: Mapping[str, Any], user: User, namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            space = subject.get("namespace", namespace)
            return user.name == f"system:serviceaccount:{space}:{subject['name']}"
        case _:
            return False


def _has(allowed: list[str] | None, wanted: str) -> bool:
    return allowed is not None and (wanted in allowed or "*" in allowed)


def _allows(rule: Mapping[str, Any], info: RequestInfo) -> bool:
    if not _has(rule.get("verbs"), info.verb):
        return False
    if not info.plural:
        return any(
            url == info.path or (url.endswith("*") and info.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs") or ()
        )
    resources = rule.get("resources") or []
    full = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    named = rule.get("resourceNames")
    return (
        _has(rule.get("apiGroups"), info.group)
        and (
            _has(resources, full) or bool(info.subresource and f"*/{info.subresource}" in resources)
        )
        and (not named or (info.name in named and info.verb != "create"))
    )


class Authorizer:
    """Judges requests."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rules(self, user: User, namespace: str) -> Iterator[Object]:
        """Yield every rule that ``user`` has in a namespace ("" for cluster-wide only)."""
        for binding in self._store.objects((_GROUP, "clusterrolebindings")):
            yield from self._rules_of(binding, user, "")
        if namespace:
            for binding in self._store.objects((_GROUP, "rolebindings"), namespace):
                yield from self._rules_of(binding, user, namespace)

    def _rules_of(self, binding: Object, user: User, namespace: str) -> Iterator[Object]:
        if not any(_applies_to(s, user, namespace) for s in binding.get("subjects") or ()):
            return
        reference = binding["roleRef"]
        clusterwide = reference["kind"] == "ClusterRole"
        plural = "clusterroles" if clusterwide else "roles"
        space = "" if clusterwide else namespace
        role = self._store.get((_GROUP, plural), space, reference["name"])
        yield from (role or {}).get("rules") or ()

    def allows(self, user: User, info: RequestInfo) -> bool:
        """Whether ``user`` may do this."""
        if MASTERS in user.groups:
            return True
        return any(_allows(rule, info) for rule in self.rules(user, info.namespace))

    def check(self, user: User, info: RequestInfo) -> None:
        """Refuse what the user may not do.

        Raises:
            ApiError: 403.
        """
        if not self.allows(user, info):
            raise _refusal(user, info)


def _refusal(user: User, info: RequestInfo) -> ApiError:
    who = f'User "{user.name}" cannot {info.verb}'
    if not info.plural:
        return forbidden("", "", "", f'{who} path "{info.path}"')
    full = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    why = f'{who} resource "{full}" in API group "{info.group}" {where}'
    return forbidden(info.plural, info.group, info.name, why)
