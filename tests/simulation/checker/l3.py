"""L3. Watches lose events; the resync has to make up for it."""

from __future__ import annotations

from .base import Invariant

LIMIT = 30.0
SLACK = 5.0  # a pass and its retries


class SpecIsActedOn(Invariant):
    """L3: a new spec is acted on within 30 s even if its event is lost.

    Compared: ``status.observedGeneration`` with the generation, 35 s of available leader time after the
    generation came to be; 5 of them are for the pass itself.
    """

    name = "L3"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._due: dict[str, tuple[int, float]] = {}  # uid -> generation, clock when it came

    def passed(self, t: float) -> None:
        for uid, subject in self.world.by_uid.items():
            if subject.deleted is not None or self.world.blinded(t):
                self._due.pop(uid, None)
                continue
            observed = int(subject.status.get("observedGeneration", 0))
            generation, since = self._due.get(uid, (0, 0.0))
            if observed >= subject.generation:
                self._due.pop(uid, None)
                continue
            spent = self.world.available.spent(subject.key)
            if generation <= observed:
                self._due[uid] = (subject.generation, spent)
            elif spent - since > LIMIT + SLACK:
                self._due[uid] = (subject.generation, spent)
                text = (
                    f"generation {generation} is not acted on {spent - since:.1f} s of leader time"
                )
                self.fail(t, subject, f"{text} after it came; observed is {observed}")
