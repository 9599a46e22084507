"""I14. The operator is a guest in a namespace."""

from __future__ import annotations

from . import views
from .base import Invariant
from .world import MODEL_DEPLOYMENTS, UNOWNED, Write


class OnlyOwned(Invariant):
    """I14: only owned objects are touched.

    Compared: the owner uid of each object that an operator changes or deletes, before the write, with
    the ModelDeployment of its pass; that of each object that it makes, after the write. Of a
    ModelDeployment it writes the status alone. Events and Leases have no owner.
    """

    name = "I14"

    def wrote(self, write: Write) -> None:
        if write.resource in UNOWNED:
            return
        about = write.about.key if write.about is not None else f"{write.namespace}/{write.name}"
        if write.resource == MODEL_DEPLOYMENTS:
            if write.sub != "status" or write.verb != "patch":
                self.fail(write.t, about, f"{write.what}: only its status is the operator's")
            return
        item = write.before if write.before is not None else write.after
        owner = self.world.by_uid.get(views.controller_uid(item))
        if owner is None or owner is not write.about:
            whose = views.controller_uid(item) or "nobody"
            self.fail(write.t, about, f"{write.what}, which belongs to {whose}")
