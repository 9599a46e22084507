"""I15. Of two operators the one that lost the Lease must be silent."""

from __future__ import annotations

from .base import Invariant
from .world import UNOWNED, Write


class NewestEpoch(Invariant):
    """I15: an older Lease epoch never writes after a newer one.

    Compared: the epoch of each write about a ModelDeployment and its children with the newest that has
    written about it before. Events and the Lease itself are no state of the rollout.
    """

    name = "I15"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._newest: dict[str, tuple[int, str, float]] = {}

    def wrote(self, write: Write) -> None:
        subject = write.subject
        if write.resource in UNOWNED or subject is None:
            return
        epoch, actor, t = self._newest.get(subject.uid, (write.epoch, "", 0.0))
        if write.epoch < epoch:
            text = f"{write.what} with epoch {write.epoch}, {write.t - t:.1f} s after {actor}"
            self.fail(write.t, subject, f"{text} wrote with epoch {epoch}")
        else:
            self._newest[subject.uid] = (write.epoch, write.actor, write.t)
