"""Router `Gateway`: weights of an HTTPRoute that the operator owns."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from serinus.api import names
from serinus.core.observed import RouteSeen
from serinus.render.meta import Owner, make_metadata
from serinus.render.routes.base import Target, Weights
from serinus.render.service import PORT
from serinus.render.stamp import annotation, route_drifted, route_stamp
from serinus.render.subset import covers

_NEEDED = ("Accepted", "ResolvedRefs")


class GatewayRouter:
    """HTTPRoute of gateway.networking.k8s.io/v1.

    The defaults of the API are written out, so that the live route can be compared exactly: a filter
    or a match that somebody put into it changes who answers, whatever the weights say.
    """

    def render(self, target: Target, weights: Weights, fence: str = "") -> dict[str, Any]:
        """The HTTPRoute. Weights are always written: an omitted one would mean 1."""
        owner, traffic = target.owner, target.traffic
        rule: dict[str, Any] = {
            "matches": [{"path": {"type": "PathPrefix", "value": traffic.path}}],
            "backendRefs": _backends(owner, weights),
        }
        if traffic.path != "/":
            rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
            rule["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
        spec: dict[str, Any] = {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": target.gateway.name,
                    "namespace": target.gateway.namespace or owner.namespace,
                }
            ],
            "rules": [rule],
        }
        if traffic.hostnames:
            spec["hostnames"] = list(traffic.hostnames)
        return _manifest(owner, spec, fence)

    def reweigh(
        self, owner: Owner, live: Mapping[str, Any], weights: Weights, fence: str = ""
    ) -> dict[str, Any]:
        spec = copy.deepcopy(dict(live["spec"]))
        spec["rules"] = [{**spec["rules"][0], "backendRefs": _backends(owner, weights)}]
        return _manifest(owner, spec, fence)

    def same(self, live: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
        marks = {key: manifest["metadata"][key] for key in ("labels", "annotations")}
        return bool(live.get("spec") == manifest["spec"]) and covers(live["metadata"], marks)

    def answers(self, target: Target, live: Mapping[str, Any]) -> bool:
        return _addresses(self.render(target, ())["spec"]) == _addresses(live.get("spec") or {})

    def weights(self, owner: Owner, live: Mapping[str, Any]) -> dict[str, int]:
        prefix = f"{owner.name}-"
        rules = live.get("spec", {}).get("rules") or [{}]
        return {
            str(ref["name"]).removeprefix(prefix): int(ref.get("weight", 1))
            for ref in rules[0].get("backendRefs") or ()
        }

    def observed(self, target: Target, live: Mapping[str, Any]) -> RouteSeen:
        """Confirmed: our parent says Accepted and ResolvedRefs at the object's generation."""
        generation = live.get("metadata", {}).get("generation", 0)
        parents = live.get("status", {}).get("parents") or ()
        ours = [p for p in parents if self._is_ours(target, p.get("parentRef", {}))]
        if not ours:
            return self.unconfirmed(target.owner, live, "no Gateway controller has answered")
        problems = [text for parent in ours for text in _problems(parent, generation)]
        seen = self.unconfirmed(target.owner, live, "; ".join(problems))
        return replace(seen, confirmed=not problems)

    def unconfirmed(self, owner: Owner, live: Mapping[str, Any], problem: str) -> RouteSeen:
        return RouteSeen(
            self.weights(owner, live),
            confirmed=False,
            problem=problem,
            fence=annotation(live, names.ANNOTATION_FENCE),
            drifted=route_drifted(live),
        )

    def _is_ours(self, target: Target, ref: Mapping[str, Any]) -> bool:
        namespace = target.gateway.namespace or target.owner.namespace
        return (ref.get("name"), ref.get("namespace", target.owner.namespace)) == (
            target.gateway.name,
            namespace,
        )


def _addresses(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    rules = spec.get("rules") or ()
    return (
        spec.get("parentRefs"),
        spec.get("hostnames"),
        [rule.get("matches") for rule in rules],
    )


def _backends(owner: Owner, weights: Weights) -> list[dict[str, Any]]:
    return [
        {
            "group": "",
            "kind": "Service",
            "name": names.child_name(owner.name, key),
            "port": PORT,
            "weight": weight,
        }
        for key, weight in weights
    ]


def _manifest(owner: Owner, spec: dict[str, Any], fence: str) -> dict[str, Any]:
    labels = names.owner_labels(owner.name)
    metadata = make_metadata(owner, names.route_name(owner.name), labels)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {**metadata, "annotations": route_stamp(spec, fence)},
        "spec": spec,
    }


def _problems(parent: Mapping[str, Any], generation: int) -> list[str]:
    conditions = {c["type"]: c for c in parent.get("conditions") or ()}
    out = []
    for kind in _NEEDED:
        condition = conditions.get(kind)
        if condition is None or condition.get("observedGeneration", 0) < generation:
            out.append(f"{kind} is not known for the latest change")
        elif condition.get("status") != "True":
            out.append(
                f"{kind} is false: {condition.get('reason')}: {condition.get('message', '')}"
            )
    return out
