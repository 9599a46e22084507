"""Points in time and durations as kubectl shows them."""

from __future__ import annotations

import calendar
import time
from typing import Any


def seconds_of(timestamp: str) -> float:
    """Return an RFC 3339 UTC timestamp in seconds since 1970."""
    whole = timestamp.partition(".")[0].removesuffix("Z")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def duration(seconds: float) -> str:
    """Return a duration as kubectl shows ages: two units while they matter."""
    whole = int(max(seconds, 0))
    minutes, hours = whole // 60, whole // 3600
    days = hours // 24
    for limit, text in (
        (120, f"{whole}s"),
        (600, _two(minutes, "m", whole % 60, "s")),
        (3 * 3600, f"{minutes}m"),
        (8 * 3600, _two(hours, "h", minutes % 60, "m")),
        (48 * 3600, f"{hours}h"),
        (8 * 86400, _two(days, "d", hours % 24, "h")),
        (2 * 365 * 86400, f"{days}d"),
        (8 * 365 * 86400, _two(days // 365, "y", days % 365, "d")),
    ):
        if whole < limit:
            return text
    return f"{days // 365}y"


def age(timestamp: Any, now: float) -> str:
    """Return how long ago a timestamp was."""
    if not isinstance(timestamp, str) or not timestamp:
        return "<unknown>"
    try:
        return duration(now - seconds_of(timestamp))
    except ValueError:
        return "<invalid>"
