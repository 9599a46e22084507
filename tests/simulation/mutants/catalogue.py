"""All seeded bugs."""

from __future__ import annotations

from .liveness import LIVENESS
from .mutant import Mutant
from .safety import SAFETY
from .shell import SHELL

MUTANTS: tuple[Mutant, ...] = (*SAFETY, *SHELL, *LIVENESS)
