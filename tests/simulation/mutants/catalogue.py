"""All seeded bugs."""

from __future__ import annotations

from .liveness import LIVENESS
from .mutant import Mutant
from .revisions import REVISIONS
from .shell import SHELL
from .weights import WEIGHTS

MUTANTS: tuple[Mutant, ...] = (*WEIGHTS, *REVISIONS, *SHELL, *LIVENESS)
