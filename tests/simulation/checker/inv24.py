"""INV-24. Who pulls the brake is not to wait for a resync."""

from __future__ import annotations

from .base import Invariant

LIMIT = 10.0
LOST_EVENT = 30.0


class AbortIsQuick(Invariant):
    """INV-24: an abort takes effect, weight 0 written, within 10 s while the API server is up.

    Compared: the canary's weight on the route with the abort annotation, 10 s of available leader time
    after it was written, 40 s where watch events were tampered with. Stable without a ready pod excuses.
    """

    name = "INV-24"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._since: dict[str, tuple[float, float]] = {}

    def passed(self, t: float) -> None:
        for uid, subject in self.world.by_uid.items():
            canary = subject.canary
            asked = subject.commanded("abort", canary) if canary else None
            if asked is None or not subject.weights.get(canary) or subject.deleted is not None:
                self._since.pop(uid, None)
                continue
            stable = self.world.child(subject, "deployments", subject.stable) or {}
            if not (stable.get("status") or {}).get("readyReplicas") or self.world.blinded(t):
                self._since.pop(uid, None)
                continue
            spent = self.world.available.spent(subject.key)
            since, told = self._since.setdefault(uid, (spent, 0.0))
            limit = LIMIT + (LOST_EVENT if self.world.watches_lie(t) else 0.0)
            if spent - since > limit and not told:
                self._since[uid] = (since, t)
                text = f"{canary} still has weight {subject.weights[canary]}"
                self.fail(
                    t, subject, f"{text}, {spent - since:.1f} s of leader time after the abort"
                )
