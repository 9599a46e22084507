"""Host names with wildcards, as the Gateway API compares them. ``*`` stands for any host."""

from __future__ import annotations

ANY = "*"


def covers(wide: str, narrow: str) -> bool:
    """Whether every host that ``narrow`` means is also meant by ``wide``."""
    if wide in (ANY, narrow):
        return True
    if not wide.startswith("*."):
        return False
    return narrow.removeprefix("*").endswith(wide[1:]) and narrow != ANY


def intersection(first: str, second: str) -> str | None:
    """The hosts that both mean; None if there are none."""
    if covers(first, second):
        return second
    if covers(second, first):
        return first
    return None


def specificity(host: str) -> tuple[int, int]:
    """Sort key: exact names before wildcards, longer before shorter ones."""
    if host == ANY:
        return (2, 0)
    return (1, -len(host)) if host.startswith("*.") else (0, -len(host))
