"""L2. Owner references alone clean up, so nothing may be made without one or after the end."""

from __future__ import annotations

from . import views
from .base import Invariant
from .world import UNOWNED, Write

GRACE = 60.0


class DeletedLeavesNothing(Invariant):
    """L2: deletion leaves nothing, also with the operator gone.

    Compared: what the store holds at the end with the ModelDeployments that were deleted at least 60 s
    before: neither they nor anything that ever had an owner reference to them is there.
    """

    name = "L2"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._made: dict[str, str] = {}  # uid of an object -> uid of its owner

    def wrote(self, write: Write) -> None:
        if write.after is not None and write.resource not in UNOWNED:
            owner = views.controller_uid(write.after)
            if owner:
                self._made[views.meta(write.after).get("uid", "")] = owner

    def ended(self, t: float) -> None:
        left: dict[str, list[str]] = {}
        for (resource, _, name), item in self.world.objects.items():
            owner = self._made.get(views.meta(item).get("uid", "")) or views.controller_uid(item)
            left.setdefault(owner, []).append(f"{resource} {name}")
        for uid, subject in self.world.by_uid.items():
            if subject.deleted is None or t - subject.deleted < GRACE:
                continue
            ago = f"{t - subject.deleted:.0f} s after the delete"
            if subject.gone is None:
                self.fail(t, subject, f"{ago} the ModelDeployment is still there")
            if uid in left:
                self.fail(t, subject, f"{ago} there still are {', '.join(sorted(left[uid]))}")
