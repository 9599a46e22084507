"""Whether a live object already has everything that a manifest asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def covers(live: Any, wanted: Any) -> bool:
    """True when every field of ``wanted`` has the same value in ``live``.

    ``live`` may have more fields (defaults, other writers' labels), but not more list items: an
    item too much in a list of ours is a difference.

    >>> covers({"a": 1, "b": [{"x": 1, "y": 2}]}, {"b": [{"x": 1}]})
    True
    >>> covers({"b": [{"x": 1}, {"x": 2}]}, {"b": [{"x": 1}]})
    False
    """
    if live == wanted:
        return True  # most of the time, and quickly found
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            key in live and covers(live[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return (
            isinstance(live, Sequence)
            and len(live) == len(wanted)
            and all(covers(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return False
