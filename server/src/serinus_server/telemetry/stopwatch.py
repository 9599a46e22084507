"""How long something takes. The only clock of the server; nothing else needs the time."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Seconds since it was started."""

    begin: float

    @classmethod
    def start(cls) -> Stopwatch:
        return cls(time.perf_counter())

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begin
