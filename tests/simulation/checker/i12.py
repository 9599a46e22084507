"""I12. What people may rely on when several things happen at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Invariant
from .raises import Raise, raise_of
from .subject import Subject
from .views import short
from .world import MODEL_DEPLOYMENTS, UNOWNED, Write


class Precedence(Invariant):
    """I12: delete > abort > breach > new revision > pause > promote > advance, in any order of arrival.

    Compared: what a pass does with what had been asked for before it began. After a delete it writes no
    child; after an abort, a latched breach, another spec or a pause it raises no weight of the canary,
    whatever a ``promote`` says.
    """

    name = "I12"

    def wrote(self, write: Write) -> None:
        subject = write.subject
        if subject is None or subject.deleted is None or write.began <= subject.deleted:
            return
        if write.resource != MODEL_DEPLOYMENTS and write.resource not in UNOWNED:
            text = f"{write.what}, {write.t - subject.deleted:.1f} s after the delete"
            self.fail(write.t, subject, text)

    def committed(self, write: Write, subject: Subject) -> None:
        rise = raise_of(write, subject)
        old = (write.before or {}).get("status") or {}
        started = subject.canary and not old.get("canary")
        if rise is not None:
            for since, why in (
                *self._latched(subject, rise),
                *self._superseded(subject, rise, old),
                *self._paused(subject, rise.revision),
            ):
                if since is not None and write.began > since:
                    text = (
                        f"{write.actor} raised {rise.revision} from {rise.before} to {rise.after}"
                    )
                    self.fail(write.t, subject, f"{text}, {write.t - since:.1f} s after {why}")
        elif started:
            for since, why in self._paused(subject, subject.canary):
                if since is not None and write.began > since:
                    text = f"{write.actor} started {subject.canary}"
                    self.fail(write.t, subject, f"{text}, {write.t - since:.1f} s after {why}")

    @staticmethod
    def _latched(subject: Subject, rise: Raise) -> list[tuple[float, str]]:
        latch = subject.latches.get(rise.revision)
        if latch is None or subject.foreign_status:
            return []
        return [(latch.t, f"it was {latch.why}")]

    @staticmethod
    def _superseded(
        subject: Subject, rise: Raise, old: Mapping[str, Any]
    ) -> list[tuple[float, str]]:
        """The spec's model is known and is not what the canary was made of."""
        canary, target = old.get("canary") or {}, subject.status.get("target") or {}
        if (
            short(canary.get("revision", "")) != rise.revision
            or target.get("uri") != subject.spec.uri
        ):
            return []
        admitted = subject.bases.get(rise.revision, "")
        same = target.get("pinnedURI") == canary.get("modelURI") and admitted.endswith(
            subject.spec.made
        )
        if same:
            return []
        since = next((at for at, s in reversed(subject.specs) if s.base == admitted), 0.0)
        later = [at for at, _ in subject.specs if at > since]
        return [(later[0], "the spec asked for another revision")] if later else []

    @staticmethod
    def _paused(subject: Subject, revision: str) -> list[tuple[float | None, str]]:
        out: list[tuple[float | None, str]] = [
            (subject.commanded("pause", revision), "a pause of it")
        ]
        if subject.spec.paused:
            since = subject.specs[-1][0]
            for at, spec in reversed(subject.specs):
                if not spec.paused:
                    break
                since = at
            out.append((since, "rollout.paused"))
        return out
