"""I8. What was judged is what must be served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Invariant
from .subject import Subject
from .views import meta, revision_label, short, template
from .world import Write

PINNED = ("modelURI", "resolvedVersion", "digest", "image", "resources", "env")
SERVED = {
    "SERINUS_MODEL_URI": "modelURI",
    "SERINUS_MODEL_VERSION": "resolvedVersion",
    "SERINUS_MODEL_DIGEST": "digest",
}


class AdmittedBytes(Invariant):
    """I8: a revision serves the bytes it was admitted with.

    Compared: what the status says of a revision with what it said when the revision was taken in, as
    long as it stays in; and the image, model URI, version and digest in the pod template of each
    Deployment that an operator makes or changes with the same, unless others have changed the template.
    """

    name = "I8"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._admitted: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._ours: dict[str, Any] = {}  # uid of a Deployment -> the template that we gave it

    def committed(self, write: Write, subject: Subject) -> None:
        present = {}
        for arm in (subject.arm("stable"), subject.arm("canary")):
            revision = short(arm.get("revision", ""))
            if not revision:
                continue
            pinned = {field: arm.get(field) for field in PINNED}
            known = self._admitted.get((subject.uid, revision))
            present[subject.uid, revision] = known or pinned
            if known is not None and known != pinned:
                field = next(f for f in PINNED if known[f] != pinned[f])
                text = f"{field} of {revision} changed from {known[field]!r} to {pinned[field]!r}"
                self.fail(write.t, subject, f"{write.actor} committed that {text}")
        others = {k: v for k, v in self._admitted.items() if k[0] != subject.uid}
        self._admitted = {**others, **present}

    def deployed(self, write: Write, subject: Subject) -> None:
        revision, made = revision_label(write.after), template(write.after)
        arm = self._admitted.get((subject.uid, revision))
        if write.after is None or arm is None:
            return
        uid = meta(write.after).get("uid", "")
        if made != template(write.before):
            self._ours[uid] = made
        if made != self._ours.get(uid):
            return  # somebody else's
        container = made["spec"]["containers"][0]
        env = {e["name"]: e.get("value", "") for e in container.get("env") or ()}
        served = {field: env.get(name, "") for name, field in SERVED.items()}
        for field, value in {"image": container.get("image"), **served}.items():
            if value != (arm[field] or ""):
                text = f"pods of {revision} whose {field} is {value!r}; admitted was {arm[field]!r}"
                self.fail(write.t, subject, f"{write.actor} asked for {text}")
