"""I13. What grows without bound stops the API server from taking it."""

from __future__ import annotations

import json

from .base import Invariant
from .subject import Subject
from .world import UNOWNED, Write

STATUS_BYTES = 32 * 1024
OBJECTS = 12


class Bounded(Invariant):
    """I13: status at most 32 KiB, at most 12 owned objects.

    Compared: the JSON of each committed status, and the objects with an owner reference to the
    ModelDeployment after each one that an operator makes.
    """

    name = "I13"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._most: dict[str, int] = {}

    def committed(self, write: Write, subject: Subject) -> None:
        # A merge patch adds its own size at most: the whole is only measured when it might be too much.
        patch = len(json.dumps((write.body or {}).get("status")))
        most = self._most.get(subject.uid, STATUS_BYTES) + patch
        if most > STATUS_BYTES:
            most = len(json.dumps(subject.status, ensure_ascii=False).encode())
            if most > STATUS_BYTES:
                self.fail(write.t, subject, f"{write.actor} committed a status of {most} bytes")
        self._most[subject.uid] = most

    def wrote(self, write: Write) -> None:
        if write.before is not None or write.after is None or write.subject is None:
            return
        if write.resource in UNOWNED:
            return
        count = sum(1 for _ in self.world.owned(write.subject.uid))
        if count > OBJECTS:
            self.fail(write.t, write.subject, f"{write.what}: object {count} of {OBJECTS} at most")
