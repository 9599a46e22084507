"""Label and field selectors, as query parameters carry them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serinus.sandbox.apiserver.errors import bad_request

_TOKEN = re.compile(r"\s*(\(|\)|,|==|=|!=|!|[^\s(),=!]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: ``key operator values``."""

    key: str
    operator: str  # in, notin, exists, absent
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` satisfy this term; a missing key satisfies ``notin``, as in Kubernetes."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case _:
                return value is None


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text.rstrip()):
        found = _TOKEN.match(text, position)
        if found is None:
            raise bad_request(f"unable to parse requirement: {text!r}")
        tokens.append(found.group(1))
        position = found.end()
    return tokens


def _split_terms(tokens: list[str]) -> list[list[str]]:
    terms: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token == "," and depth == 0:  # noqa: S105
            terms.append([])
        else:
            terms[-1].append(token)
    return terms


def _requirement(term: list[str]) -> Requirement:
    match term:
        case ["!", key]:
            return Requirement(key, "absent")
        case [key]:
            return Requirement(key, "exists")
        case [key, "=" | "=="]:
            return Requirement(key, "in", frozenset({""}))
        case [key, "=" | "==", value]:
            return Requirement(key, "in", frozenset({value}))
        case [key, "!="]:
            return Requirement(key, "notin", frozenset({""}))
        case [key, "!=", value]:
            return Requirement(key, "notin", frozenset({value}))
        case [key, "in" | "notin" as operator, "(", *rest, ")"]:
            return Requirement(key, operator, frozenset(v for v in rest if v != ","))
        case _:
            raise bad_request(f"unable to parse requirement: found {' '.join(term)!r}")


def parse_label_selector(text: str) -> tuple[Requirement, ...]:
    """Parse ``a=b,c in (d,e),!f``.

    Raises:
        ApiError: 400 when the text is not a selector.
    """
    if not text.strip():
        return ()
    return tuple(_requirement(term) for term in _split_terms(_tokens(text)))


def parse_field_selector(text: str, supported: frozenset[str]) -> tuple[Requirement, ...]:
    """Parse ``metadata.name=x,status.phase!=Running``.

    Raises:
        ApiError: 400 for a field that this resource cannot be selected by.
    """
    terms = []
    for part in filter(None, text.split(",")):
        found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        key, operator, value = found.groups()
        if key not in supported:
            raise bad_request(f"field label not supported: {key}")
        terms.append(Requirement(key, "notin" if operator == "!=" else "in", frozenset({value})))
    return tuple(terms)


def field_value(obj: Mapping[str, Any], path: str) -> str:
    """Return the field at a dotted path as text; absent fields are ``""``, as field selectors treat them."""
    node: Any = obj
    for part in path.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if node is None:
        return ""
    return str(node).lower() if isinstance(node, bool) else str(node)


def object_filter(
    labels: tuple[Requirement, ...], fields: tuple[Requirement, ...]
) -> Callable[[Mapping[str, Any]], bool]:
    """Return the predicate that a list or a watch keeps objects by."""

    def keep(obj: Mapping[str, Any]) -> bool:
        have = obj["metadata"].get("labels") or {}
        return all(term.matches(have) for term in labels) and all(
            term.matches({term.key: field_value(obj, term.key)}) for term in fields
        )

    return keep
