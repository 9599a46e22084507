"""A metric source that answers wrongly, late, or not at all."""

from __future__ import annotations

from random import Random

from serinus.ports import SeriesQuery

from ..metrics import FAULTS
from .base import Faults


class MetricFaults(Faults):
    """Some of the reads, of one arm or of both, have one kind of fault or any."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._kinds = FAULTS if rng.random() < 0.5 else (rng.choice(FAULTS),)
        self._share = rng.choice((0.2, 0.5, 1.0))
        self.calm_at = rng.uniform(10.0, 40.0)

    def on_read(self, query: SeriesQuery) -> str:
        if self.on and self._rng.random() < self._share:
            return self._rng.choice(self._kinds)
        return ""
