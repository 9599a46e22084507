"""Review kinds: questions that a client posts and gets answered in ``status``, nothing is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serinus.sandbox.apiserver.authz import Authorizer
from serinus.sandbox.apiserver.credentials import MASTERS, User
from serinus.sandbox.apiserver.errors import bad_request
from serinus.sandbox.apiserver.requests import RequestInfo
from serinus.sandbox.apiserver.store import Object


def _asked(spec: Object) -> RequestInfo:
    if path := spec.get("nonResourceAttributes"):
        return RequestInfo(verb=path.get("verb", ""), path=path.get("path", ""))
    given = spec.get("resourceAttributes")
    if given is None:
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be set")
    return RequestInfo(
        verb=given.get("verb", ""),
        path="",
        group=given.get("group", ""),
        version=given.get("version", ""),
        namespace=given.get("namespace", ""),
        plural=given.get("resource", ""),
        name=given.get("name", ""),
        subresource=given.get("subresource", ""),
    )


class Reviews:
    """Answers reviews for a user."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._answers: dict[tuple[str, str], tuple[str, Callable[[User, Object], Any]]] = {
            ("authorization.k8s.io", "selfsubjectaccessreviews"): (
                "SelfSubjectAccessReview",
                self._self_access,
            ),
            ("authorization.k8s.io", "subjectaccessreviews"): (
                "SubjectAccessReview",
                self._access,
            ),
            ("authorization.k8s.io", "selfsubjectrulesreviews"): (
                "SelfSubjectRulesReview",
                self._rules,
            ),
            ("authentication.k8s.io", "selfsubjectreviews"): ("SelfSubjectReview", self._who),
        }

    def knows(self, info: RequestInfo) -> bool:
        """Whether the request posts a review."""
        return (info.group, info.plural) in self._answers and info.version == "v1"

    def answer(self, user: User, info: RequestInfo, body: Object) -> Object:
        """Return the review with its answer."""
        kind, answer = self._answers[info.group, info.plural]
        spec = body.get("spec") or {}
        return {
            "kind": kind,
            "apiVersion": f"{info.group}/v1",
            "metadata": {},
            "spec": spec,
            "status": answer(user, spec),
        }

    def _decision(self, user: User, spec: Object) -> Object:
        allowed = self._authorizer.allows(user, _asked(spec))
        return {"allowed": True, "reason": "RBAC: allowed"} if allowed else {"allowed": False}

    def _self_access(self, user: User, spec: Object) -> Object:
        return self._decision(user, spec)

    def _access(self, _: User, spec: Object) -> Object:
        asked = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
        return self._decision(asked, spec)

    def _rules(self, user: User, spec: Object) -> Object:
        rules: list[Object] = list(self._authorizer.rules(user, spec.get("namespace", "")))
        if MASTERS in user.groups:
            rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
            rules.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
        return {
            "resourceRules": [rule for rule in rules if "resources" in rule],
            "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
            "incomplete": False,
        }

    @staticmethod
    def _who(user: User, _: Object) -> Object:
        return {"userInfo": {"username": user.name, "groups": list(user.groups)}}
