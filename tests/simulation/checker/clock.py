"""Time in which the operator could have acted: only that counts towards a deadline.

A deadline of the design is one of API-available leader time: nobody can shift traffic while no operator
leads, or while the API server refuses. Per object the clock also stands still from a request that failed
until the next look at the object, since a back-off of the operator lies in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

RETRIED_AT_ONCE = {200, 201, 202, 204, 404}


class Availability:
    """Feeds on every event of the log; :meth:`spent` is the clock.

    Args:
        elects: whether the run's operators use a Lease; without one whoever runs leads.
    """

    def __init__(self, *, elects: bool) -> None:
        self._elects = elects
        self._alive: dict[str, bool] = {}  # process -> running and not frozen
        self._leader = ""
        self._now = 0.0
        self._total = 0.0
        self._listed = True  # the last look at all objects went through
        self._blocked: dict[str, float] = {}  # object -> total when a request of its failed
        self._lost: dict[str, float] = {}

    @property
    def leading(self) -> bool:
        """Whether somebody leads and runs now."""
        if self._elects:
            return self._alive.get(self._leader, False)
        return any(self._alive.values())

    def tick(self, t: float) -> None:
        """Time has come to ``t``."""
        if t > self._now:
            if self._listed and self.leading:
                self._total += t - self._now
            self._now = t

    def process(self, event: Mapping[str, Any]) -> None:
        """A start, crash, stop, freeze, thaw or lease."""
        kind, actor = event["kind"], event["actor"]
        if kind == "lease":
            self._leader = actor
        elif kind in {"start", "thaw"}:
            self._alive[actor] = True
        elif kind == "freeze":
            self._alive[actor] = False
        else:
            self._alive.pop(actor, None)

    def began(self, subject: str) -> None:
        """A pass over the object begins."""
        since = self._blocked.pop(subject, None)
        if since is not None:
            self._lost[subject] = self._lost.get(subject, 0.0) + self._total - since

    def request(self, event: Mapping[str, Any], subject: str | None) -> None:
        """An operator's request was answered, or not."""
        good = event["code"] in RETRIED_AT_ONCE
        if subject is not None:
            if not good:
                self._blocked.setdefault(subject, self._total)
        elif event["verb"] == "list" and event["resource"] == "modeldeployments":
            self._listed = good

    def stumbled(self, call: str, subjects: Iterable[str]) -> None:
        """Something is wrong with a call that is on its way: its answer may be late, or never come."""
        if call == "list modeldeployments":
            self._listed = False
            return
        for subject in subjects:
            self._blocked.setdefault(subject, self._total)

    def spent(self, subject: str) -> float:
        """Seconds of available time so far, for this object."""
        lost = self._lost.get(subject, 0.0)
        since = self._blocked.get(subject)
        return self._total - lost - (self._total - since if since is not None else 0.0)
