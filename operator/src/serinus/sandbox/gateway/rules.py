"""HTTPRoute rules as Envoy routes: matches, their order, weights, header changes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from serinus.sandbox.gateway.attach import Backend, World, backends
from serinus.sandbox.objects import Key, Object, key_of

MILLION = 1_000_000
_ANYWHERE: Object = {"path": {"type": "PathPrefix", "value": "/"}}

# Only what certainly never reached a server is tried again, so that no server's error is hidden.
RETRY_POLICY: Object = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host."
                "previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 3,
}


def cluster_name(service: Key, port: int) -> str:
    """Name of the Envoy cluster of a Service's port."""
    return f"{service[0]}/{service[1]}/{port}"


def routes(world: World, attached: Iterable[Object]) -> list[Object]:
    """The Envoy routes of HTTPRoutes that serve the same host, most specific first."""
    found: list[tuple[tuple[Any, ...], list[Object]]] = []
    for route in attached:
        for number, rule in enumerate(route["spec"].get("rules") or []):
            for index, match in enumerate(rule.get("matches") or [_ANYWHERE]):
                order = (*_precedence(match), *_age(route), number, index)
                found.append((order, _rule(world, route, rule, match)))
    return [entry for _, entries in sorted(found, key=lambda pair: pair[0]) for entry in entries]


def _age(route: Object) -> tuple[str, Key]:
    return route["metadata"].get("creationTimestamp", ""), key_of(route)


def _precedence(match: Object) -> tuple[Any, ...]:
    path = match.get("path") or {}
    kind = path.get("type", "PathPrefix")
    return (
        {"Exact": 0, "RegularExpression": 1}.get(kind, 2),
        -len(path.get("value", "/")),
        "method" not in match,
        -len(match.get("headers") or []),
        -len(match.get("queryParams") or []),
    )


def _rule(world: World, route: Object, rule: Object, match: Object) -> list[Object]:
    """One match: the share of missing backends is answered 500, the rest goes to the others."""
    every = [backend for backend in backends(world, route, rule) if backend.weight > 0]
    good = [backend for backend in every if backend.problem is None]
    total = sum(backend.weight for backend in every)
    missing = total - sum(backend.weight for backend in good)
    envoy_match = _match(match)
    if not good:
        return [{"match": envoy_match, "direct_response": {"status": 500}}]
    entries: list[Object] = []
    if missing:
        share = {"numerator": round(missing * MILLION / total), "denominator": "MILLION"}
        partly = {**envoy_match, "runtime_fraction": {"default_value": share}}
        entries.append({"match": partly, "direct_response": {"status": 500}})
    entries.append({"match": envoy_match, "route": _action(rule, match, good), **_headers(rule)})
    return entries


def _action(rule: Object, match: Object, good: list[Backend]) -> Object:
    timeouts = rule.get("timeouts") or {}
    weights: dict[str, int] = {}
    for backend in good:
        name = cluster_name(backend.service, backend.port)
        weights[name] = weights.get(name, 0) + backend.weight
    retry = dict(RETRY_POLICY)
    if "backendRequest" in timeouts:
        retry["per_try_timeout"] = seconds(timeouts["backendRequest"])
    return {
        "weighted_clusters": {
            "clusters": [{"name": name, "weight": weight} for name, weight in weights.items()]
        },
        "timeout": seconds(timeouts.get("request", "0s")),
        "retry_policy": retry,
        **_rewrite(rule, match),
    }


def _rewrite(rule: Object, match: Object) -> Object:
    """A URLRewrite filter as Envoy does it.

    Envoy's ``prefix_rewrite`` would turn ``/churn/v2`` into ``//v2`` when ``/churn`` becomes ``/``: a
    replacement that ends at the root is a regular expression that takes the slashes with it.
    """
    filters = rule.get("filters") or []
    wanted: Object = next((f["urlRewrite"] for f in filters if f["type"] == "URLRewrite"), {})
    result: Object = {}
    if "hostname" in wanted:
        result["host_rewrite_literal"] = wanted["hostname"]
    path = wanted.get("path") or {}
    if path.get("type") == "ReplaceFullPath":
        result["regex_rewrite"] = _substitution(".*", path.get("replaceFullPath") or "/")
    elif path.get("type") == "ReplacePrefixMatch":
        prefix = (match.get("path") or {}).get("value", "/").rstrip("/")
        new = (path.get("replacePrefixMatch") or "/").rstrip("/")
        if new:
            result["prefix_rewrite"] = new if prefix else f"{new}/"
        elif prefix:
            result["regex_rewrite"] = _substitution(f"{re.escape(prefix)}/*", "/")
    return result


def _substitution(pattern: str, text: str) -> Object:
    return {"pattern": {"regex": f"^{pattern}"}, "substitution": text.replace("\\", "\\\\")}


_UNITS = {"ms": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0}


def seconds(duration: str) -> str:
    """A Gateway API duration such as ``1m30s`` or ``500ms`` as Envoy writes it."""
    total, number = 0.0, ""
    rest = duration
    while rest:
        if rest[0].isdigit():
            number, rest = number + rest[0], rest[1:]
            continue
        unit = next(unit for unit in _UNITS if rest.startswith(unit))
        total += int(number) * _UNITS[unit]
        number, rest = "", rest[len(unit) :]
    return f"{total:g}s"


def _match(match: Object) -> Object:
    path = match.get("path") or {}
    value = path.get("value", "/")
    result: Object
    match path.get("type", "PathPrefix"):
        case "Exact":
            result = {"path": value}
        case "RegularExpression":
            result = {"safe_regex": {"regex": value}}
        case _:
            trimmed = value.rstrip("/")
            result = {"path_separated_prefix": trimmed} if trimmed else {"prefix": "/"}
    headers = [
        {"name": header["name"], "string_match": _text_match(header)}
        for header in match.get("headers") or []
    ]
    if "method" in match:
        headers.append({"name": ":method", "string_match": {"exact": match["method"]}})
    if headers:
        result["headers"] = headers
    if match.get("queryParams"):
        result["query_parameters"] = [
            {"name": parameter["name"], "string_match": _text_match(parameter)}
            for parameter in match["queryParams"]
        ]
    return result


def _text_match(wanted: Object) -> Object:
    if wanted.get("type", "Exact") == "RegularExpression":
        return {"safe_regex": {"regex": wanted["value"]}}
    return {"exact": wanted["value"]}


def _headers(rule: Object) -> Object:
    result: Object = {}
    for wanted in rule.get("filters") or []:
        side = "request" if wanted["type"] == "RequestHeaderModifier" else "response"
        change = wanted.get(f"{side}HeaderModifier") or {}
        added = [_header(h, "OVERWRITE_IF_EXISTS_OR_ADD") for h in change.get("set") or []]
        added += [_header(h, "APPEND_IF_EXISTS_OR_ADD") for h in change.get("add") or []]
        if added:
            result.setdefault(f"{side}_headers_to_add", []).extend(added)
        if change.get("remove"):
            result.setdefault(f"{side}_headers_to_remove", []).extend(change["remove"])
    return result


def _header(header: Object, action: str) -> Object:
    value = {"key": header["name"], "value": header["value"]}
    return {"header": value, "append_action": action}
