"""I9. A failed revision that comes back by itself fails in front of users again and again."""

from __future__ import annotations

from .base import Invariant
from .subject import Subject
from .views import short
from .world import Write


class FailedStaysFailed(Invariant):
    """I9: a failed revision is not retried.

    Compared: each revision that becomes the canary with every breach, failure and abort of it that was
    ever committed or asked for, until a person changes what the revision is made of, or the retry token.
    """

    name = "I9"

    def committed(self, write: Write, subject: Subject) -> None:
        canary = subject.canary
        old = (write.before or {}).get("status") or {}
        if not canary or short((old.get("canary") or {}).get("revision", "")) == canary:
            return
        latch = subject.latches.get(canary)
        if latch is not None and latch.t < write.t and not subject.foreign_status:
            text = f"{write.actor} tries {canary} again, {latch.why} at {latch.t:.1f} s"
            self.fail(write.t, subject, text)
