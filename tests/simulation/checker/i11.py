"""I11. A new release of the operator is no reason to restart a pod."""

from __future__ import annotations

from typing import Any

from .base import Invariant
from .subject import Subject
from .views import revision_label, short, template
from .world import Write


class UpgradeChangesNothing(Invariant):
    """I11: an operator upgrade changes no pod template and no weight.

    Compared: each pod template that an operator writes with the first one of the same revision, as long
    as it is in service; and each revision that is taken in with the one before it: a second one, so a
    change of weights, needs a person who has changed what revisions are made of.
    """

    name = "I11"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._templates: dict[tuple[str, str], Any] = {}
        self._last: dict[str, tuple[str, str]] = {}  # uid -> revision, what the spec was

    def committed(self, write: Write, subject: Subject) -> None:
        old = (write.before or {}).get("status") or {}
        known = {short((old.get(arm) or {}).get("revision", "")) for arm in ("stable", "canary")}
        present = {subject.stable, subject.canary}
        for key in [k for k in self._templates if k[0] == subject.uid and k[1] not in present]:
            del self._templates[key]
        for revision in present - known - {""}:
            before = self._last.get(subject.uid)
            self._last[subject.uid] = (revision, subject.spec.key)
            if before is None or before[0] == revision or subject.foreign_status:
                continue
            if before[1] == subject.spec.key:
                text = f"{write.actor} takes in {revision} after {before[0]}"
                self.fail(write.t, subject, f"{text} although nobody changed what they are made of")

    def deployed(self, write: Write, subject: Subject) -> None:
        if write.after is None:
            return
        revision, made = revision_label(write.after), template(write.after)
        if write.before is not None and template(write.before) == made:
            self._templates.setdefault((subject.uid, revision), made)
            return
        first = self._templates.setdefault((subject.uid, revision), made)
        if first != made:
            changed = _difference(first, made)
            self.fail(write.t, subject, f"{write.actor} changed the pods of {revision}: {changed}")


def _difference(old: Any, new: Any, path: str = "template") -> str:
    """The first place where two values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), f"{path}.{key}")
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            if a != b:
                return _difference(a, b, f"{path}[{index}]")
    return f"{path} from {old!r} to {new!r}"
