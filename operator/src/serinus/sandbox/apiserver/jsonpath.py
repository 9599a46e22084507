"""The part of kubectl's JSONPath that printer columns and scale paths use."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Step: TypeAlias = Callable[[Any], list[Any]]

_TOKEN = re.compile(
    r"""\.?\[\?\(@\.(?P<field>[\w./\\-]+)\s*==\s*(?P<wanted>"[^"]*"|'[^']*'|[\w.-]+)\)\]"""
    r"""|\.?\[(?P<index>-?\d+)\]"""
    r"""|\.?\[(?P<quoted>'[^']*'|"[^"]*")\]"""
    r"""|\.?\[(?P<all>\*)\]|\.(?P<each>\*)"""
    r"""|\.(?P<name>(?:\\.|[^.\[\]\\])+)"""
)


def _named(name: str) -> Step:
    return lambda node: [node[name]] if isinstance(node, Mapping) and name in node else []


def _indexed(index: int) -> Step:
    def step(node: Any) -> list[Any]:
        if not isinstance(node, list) or not -len(node) <= index < len(node):
            return []
        return [node[index]]

    return step


def _every(node: Any) -> list[Any]:
    if isinstance(node, Mapping):
        return list(node.values())
    return list(node) if isinstance(node, list) else []


def _where(field: str, wanted: str) -> Step:
    if wanted[0] in "\"'":
        value: Any = wanted[1:-1]
    else:
        try:
            value = json.loads(wanted)
        except ValueError:
            value = wanted
    path = compile_path(f".{field}")
    return lambda node: [item for item in _every(node) if path(item) == [value]]


def _step(found: re.Match[str]) -> Step:
    parts = found.groupdict()
    if parts["field"]:
        return _where(parts["field"], parts["wanted"])
    if parts["index"]:
        return _indexed(int(parts["index"]))
    if parts["quoted"]:
        return _named(parts["quoted"][1:-1])
    if parts["all"] or parts["each"]:
        return _every
    return _named(re.sub(r"\\(.)", r"\1", parts["name"]))


@functools.lru_cache(maxsize=512)
def compile_path(path: str) -> Callable[[Any], list[Any]]:
    """Return the function that finds every value at ``path``.

    Raises:
        ValueError: the path uses more than this module knows.
    """
    steps, position = [], 0
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    text = text if text[:1] in (".", "[") else f".{text}"
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"JSONPath {path!r} is not understood from {text[position:]!r} on")
        steps.append(_step(found))
        position = found.end()

    def find(value: Any) -> list[Any]:
        values = [value]
        for step in steps:
            values = [inner for node in values for inner in step(node)]
        return values

    return find
