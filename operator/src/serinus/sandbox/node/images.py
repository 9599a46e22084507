"""Which images the node has: the project's own, as the program that the image would run."""

from __future__ import annotations

import re
import sys

_SERVER = re.compile(r"(?:[^\s@]+/)?serinus-server(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")


def entrypoint(image: str) -> list[str] | None:
    """The command of an image; None for an image that cannot be had here."""
    if _SERVER.fullmatch(image):
        return [sys.executable, "-m", "serinus_server"]
    return None
