"""INV-25. What others delete by mistake has to come back."""

from __future__ import annotations

from . import views
from .base import Invariant
from .subject import Subject
from .world import MODEL_DEPLOYMENTS, ROUTES, Event, Write

LIMIT = 30.0
SLACK = 5.0
KINDS = {"deployments", "services", ROUTES}
PATIENCE = 3  # who deletes again and again is answered more slowly


class DeletedReturns(Invariant):
    """INV-25: any deleted owned object returns within one resync.

    Compared: Deployments, Services and the route that somebody else deleted with the store, 35 s of
    available leader time later, as long as the status says that their revision is in service.
    """

    name = "INV-25"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._missing: dict[tuple[str, str, str], tuple[Subject, str, float]] = {}
        self._times: dict[str, int] = {}

    def changed(self, write: Write) -> None:
        where = (write.resource, write.namespace, write.name)
        if write.after is not None:
            self._missing.pop(where, None)
        elif not write.operator and write.subject is not None:
            self._miss(where, write.subject, views.revision_label(write.before))

    def vanished(self, event: Event, subject: Subject) -> None:
        where = (event["resource"], event["namespace"], event["name"])
        name = subject.key.rpartition("/")[2]
        if where[2] != name:
            self._miss(where, subject, where[2].removeprefix(f"{name}-"))
        else:
            self._miss(where, subject, "")

    def _miss(self, where: tuple[str, str, str], subject: Subject, revision: str) -> None:
        if where[0] in KINDS and where[0] != MODEL_DEPLOYMENTS and subject.deleted is None:
            self._times[subject.uid] = self._times.get(subject.uid, 0) + 1
            spent = self.world.available.spent(subject.key)
            self._missing.setdefault(where, (subject, revision, spent))

    def passed(self, t: float) -> None:
        for where, (subject, revision, since) in list(self._missing.items()):
            if not self._wanted(subject, where[0], revision) or self.world.blinded(t):
                del self._missing[where]
                continue
            spent = self.world.available.spent(subject.key)
            if spent - since > LIMIT + SLACK and self._times[subject.uid] <= PATIENCE:
                del self._missing[where]
                text = f"{where[0]} {where[2]} was deleted and has not returned"
                self.fail(t, subject, f"{text} in {spent - since:.1f} s of leader time")

    def _wanted(self, subject: Subject, resource: str, revision: str) -> bool:
        if subject.deleted is not None or subject.foreign_status:
            return False
        if resource == ROUTES:
            deployment = self.world.child(subject, "deployments", subject.stable)
            serving = subject.arm("stable").get("requestedWeight")
            return bool(serving and views.ready_replicas(deployment))
        stage = (subject.status.get("rollout") or {}).get("stage")
        return revision == subject.stable or (
            revision == subject.canary and stage not in {None, "RollingBack"}
        )
