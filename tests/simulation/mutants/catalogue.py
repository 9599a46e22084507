"""All seeded bugs."""

from __future__ import annotations

from .liveness import LIVENESS
from .mutant import Mutant
from .safety import SAFETY

MUTANTS: tuple[Mutant, ...] = (*SAFETY, *LIVENESS)
