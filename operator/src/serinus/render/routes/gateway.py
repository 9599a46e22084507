"""Router `Gateway`: weights of an HTTPRoute that the operator owns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serinus.api import names
from serinus.core.observed import RouteSeen
from serinus.render.meta import make_metadata
from serinus.render.routes.base import Target
from serinus.render.service import PORT

_NEEDED = ("Accepted", "ResolvedRefs")


class GatewayRouter:
    """HTTPRoute of gateway.networking.k8s.io/v1."""

    def render(self, target: Target, weights: tuple[tuple[str, int], ...]) -> dict[str, Any]:
        """The HTTPRoute. Weights are always written: an omitted one would mean 1."""
        owner, traffic = target.owner, target.traffic
        rule: dict[str, Any] = {
            "matches": [{"path": {"type": "PathPrefix", "value": traffic.path}}],
            "backendRefs": [
                {"name": names.child_name(owner.name, key), "port": PORT, "weight": weight}
                for key, weight in weights
            ],
        }
        if traffic.path != "/":
            rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
            rule["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
        spec: dict[str, Any] = {
            "parentRefs": [
                {
                    "name": target.gateway.name,
                    "namespace": target.gateway.namespace or owner.namespace,
                }
            ],
            "rules": [rule],
        }
        if traffic.hostnames:
            spec["hostnames"] = list(traffic.hostnames)
        return {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": make_metadata(
                owner, names.route_name(owner.name), names.owner_labels(owner.name)
            ),
            "spec": spec,
        }

    def observed(self, target: Target, seen: Mapping[str, Any]) -> RouteSeen:
        """Confirmed: our parent says Accepted and ResolvedRefs at the object's generation."""
        prefix = f"{target.owner.name}-"
        rules = seen.get("spec", {}).get("rules") or [{}]
        weights = {
            str(ref["name"]).removeprefix(prefix): int(ref.get("weight", 1))
            for ref in rules[0].get("backendRefs") or ()
        }
        generation = seen.get("metadata", {}).get("generation", 0)
        parents = seen.get("status", {}).get("parents") or ()
        ours = [p for p in parents if self._is_ours(target, p.get("parentRef", {}))]
        if not ours:
            return RouteSeen(weights, confirmed=False, problem="no Gateway controller has answered")
        problems = [text for parent in ours for text in _problems(parent, generation)]
        return RouteSeen(weights, confirmed=not problems, problem="; ".join(problems))

    def _is_ours(self, target: Target, ref: Mapping[str, Any]) -> bool:
        namespace = target.gateway.namespace or target.owner.namespace
        return (ref.get("name"), ref.get("namespace", target.owner.namespace)) == (
            target.gateway.name,
            namespace,
        )


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
