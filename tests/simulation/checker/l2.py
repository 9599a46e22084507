"""L2. Owner references alone clean up, so nothing may be made without one or after the end."""

from __future__ import annotations

from .base import Invariant

GRACE = 60.0


class DeletedLeavesNothing(Invariant):
    """L2: deletion leaves nothing, also with the operator gone.

    Compared: what the store holds at the end with the ModelDeployments that were deleted at least 60 s
    before: neither they nor anything with an owner reference to them is there.
    """

    name = "L2"

    def ended(self, t: float) -> None:
        for uid, subject in self.world.by_uid.items():
            if subject.deleted is None or t - subject.deleted < GRACE:
                continue
            ago = f"{t - subject.deleted:.0f} s after the delete"
            if subject.gone is None:
                self.fail(t, subject, f"{ago} the ModelDeployment is still there")
            left = sorted(f"{key[0]} {key[2]}" for key, _ in self.world.owned(uid))
            if left:
                self.fail(t, subject, f"{ago} there still are {', '.join(left)}")
