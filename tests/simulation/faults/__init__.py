"""What goes wrong, by name. Every choice is the seed's, so that a run can be had again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from .base import Faults, Several
from .calls import At, CrashLoop, Errors, Outage, Storm, parse
from .foreign import Foreign
from .metrics import MetricFaults
from .processes import Freezes, LeaseAttacks, Skew
from .reads import StaleReads
from .watches import WatchFaults

RECIPES: Mapping[str, Callable[[Random], Faults]] = {
    "none": lambda rng: Faults(),
    "crashes": lambda rng: At.random(rng, ("before", "after-commit", "after-reply"), 2, 600),
    "crash-loop": CrashLoop,
    "errors": Errors,
    "storm": Storm,
    "outage": Outage,
    "watch": WatchFaults,
    "stale": StaleReads,
    "metrics": MetricFaults,
    "foreign": Foreign,
    "freeze": Freezes,
    "lease": LeaseAttacks,
    "skew": Skew,
}
PAIRED = ("freeze", "lease")  # they need two operator processes to mean something


def mixed(rng: Random) -> Faults:
    """Two or three kinds at once."""
    names = rng.sample([name for name in RECIPES if name != "none"], rng.choice((2, 3)))
    return Several([RECIPES[name](rng) for name in names])


def make(name: str, seed: int) -> Faults:
    """The faults of a name (a recipe, ``mixed``, or recipes joined by ``+``) for a seed."""
    rng = Random(f"{name} {seed}")  # noqa: S311
    if name == "mixed":
        return mixed(rng)
    made = [RECIPES[part](rng) for part in name.split("+")]
    return made[0] if len(made) == 1 else Several(made)


__all__ = ["PAIRED", "RECIPES", "At", "Faults", "Several", "make", "mixed", "parse"]
