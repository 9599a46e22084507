"""What ``make test`` runs: every crash point of the main stories, and a sample of everything else."""

from __future__ import annotations

from .campaign import Case, Tally, work
from .faults import RECIPES
from .faults.calls import ERRORS
from .matrix import explore
from .scenarios import SCENARIOS

SHARES = 24
LEAST = 10_000  # faults, in all shares together

# Every API call with every crash point.
CRASHES = ("first-deploy", "happy-path", "breach-step-1", "aborted", "a-b-a")
# Every API call with every error.
FAILS = ("first-deploy",)

# Stories of minutes: with faults they are for the long campaigns.
LONG = {"metrics-away-long", "only-pods-tell", "breach-in-outage"}


def sample() -> list[Case]:
    """Every story with every kind of fault, once."""
    names = sorted(set(SCENARIOS) - LONG)
    recipes = [*(name for name in RECIPES if name != "none"), "mixed"]
    return [
        Case(name, 100 + number, recipe) for number, recipe in enumerate(recipes) for name in names
    ]


def run_share(number: int) -> Tally:
    """One of :data:`SHARES` parts, each with some of everything."""
    tally = work(sample()[number::SHARES])
    for name in CRASHES:
        tally.merge(explore(name, chosen=lambda index: index % SHARES == number))
    for name in FAILS:
        tally.merge(explore(name, kinds=ERRORS, chosen=lambda index: index % SHARES == number))
    return tally
