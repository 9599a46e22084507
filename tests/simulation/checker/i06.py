"""I6. The way back is only there while stable can take all of the traffic."""

from __future__ import annotations

from .base import Invariant
from .subject import Subject
from .views import replicas, revision_label
from .world import Write


class StableKeepsScale(Invariant):
    """I6: stable keeps full scale until promotion is complete and drained.

    Compared: the replicas that the operator gives to stable's Deployment with ``spec.server.replicas``;
    and the time between the moment when a Gateway took a route without a revision that had traffic and
    the moment when its pods are taken away, with ``scaleDownDelay``.
    """

    name = "I6"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._had: dict[tuple[str, str], float | None] = {}  # served; since when no longer

    def changed(self, write: Write) -> None:
        subject = write.subject
        if write.resource != "httproutes" or subject is None:
            return
        for revision, weight in subject.taken.items():
            if weight:
                self._had[subject.uid, revision] = None
        for (uid, revision), since in self._had.items():
            if uid == subject.uid and since is None and not subject.taken.get(revision):
                self._had[uid, revision] = write.t

    def deployed(self, write: Write, subject: Subject) -> None:
        revision = revision_label(write.after if write.after is not None else write.before)
        if not revision or subject.gone is not None:
            return
        now = replicas(write.after) if write.after is not None else 0
        before = replicas(write.before) if write.before is not None else 0
        if revision == subject.stable:
            # The spec may have changed since the pass looked at it.
            wanted = min(s.replicas for s in subject.specs_since(write.began))
            if now < wanted and (now < before or write.before is None):
                text = f"{write.actor} gave stable {revision} {now} pods of {wanted}"
                self.fail(write.t, subject, text)
        elif now < before and (subject.uid, revision) in self._had:
            self._drained(write, subject, revision)

    def _drained(self, write: Write, subject: Subject, revision: str) -> None:
        since = self._had[subject.uid, revision]
        delay = self.world.at_least(min(s.scale_down_delay for _, s in subject.specs))
        if revision == subject.canary:
            return  # its size follows its weight
        if since is None:
            text = f"{write.actor} took pods of {revision} away while it had traffic"
            self.fail(write.t, subject, text)
        elif write.t - since < delay:
            text = f"{write.actor} took pods of {revision} away {write.t - since:.1f} s"
            self.fail(write.t, subject, f"{text} after its traffic, not {delay:.1f} s")
