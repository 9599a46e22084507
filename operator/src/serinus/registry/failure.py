"""Why a model URI cannot be pinned, on its way to becoming a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failed(Exception):
    """``reason`` is one word for the condition, ``message`` is for people."""

    reason: str
    message: str
