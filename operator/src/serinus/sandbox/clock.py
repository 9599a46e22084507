"""The sandbox's one place that reads the clock; everything that decides is given ``now``."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the parts' edge


def stamp(moment: datetime) -> str:
    """A time as Kubernetes writes it, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(moment: datetime) -> str:
    """A time as Kubernetes' MicroTime fields have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """The time that an object's field holds. Raises ValueError for anything else."""
    return datetime.fromisoformat(text)
