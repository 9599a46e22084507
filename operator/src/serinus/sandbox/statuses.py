"""Comparing statuses, so that only changes are written."""

from __future__ import annotations

from typing import Any

from serinus.sandbox.objects import Object


def same(stored: Object | None, wanted: Object) -> bool:
    """Whether ``wanted`` says nothing new. API servers leave zeros and empty values out."""
    stored = stored or {}
    return all(_plain(stored.get(key)) == _plain(value) for key, value in wanted.items())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner is not None} or None
    if isinstance(value, list):
        return [_plain(inner) for inner in value] or None
    return value or None
