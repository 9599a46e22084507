"""The options of a write and of a deletion."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


def rfc3339(seconds: float) -> str:
    """Return a point in time (seconds since 1970) as metadata shows it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@dataclass(slots=True)
class Write:
    """Who writes, and how; collects warnings for the response."""

    manager: str = "unknown"
    subresource: str = ""
    field_validation: str = "Warn"  # Strict | Warn | Ignore
    dry_run: bool = False
    force: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The options of a deletion."""

    grace_seconds: int | None = None
    propagation: str | None = None  # Background | Foreground | Orphan
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
