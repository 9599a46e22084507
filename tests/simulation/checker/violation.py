"""What a broken promise looks like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant.

    Attributes:
        invariant: its name, such as ``I3``.
        t: seconds since the run's start.
        object: the ModelDeployment, ``namespace/name``.
        message: what was seen and what was promised, with the numbers.
    """

    invariant: str
    t: float
    object: str
    message: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.t:.3f} s, {self.object}: {self.message}"
