"""What ``make test`` runs: every crash point of the main stories, and a sample of everything else."""

from __future__ import annotations

from .campaign import Case, matrix
from .faults import RECIPES
from .scenarios import SCENARIOS

SHARES = 24
MATRIX = ("first-deploy", "happy-path", "breach-step-1")
LEAST = 10_000  # faults, in all shares together

# Stories of minutes: with faults they are for the long campaigns.
LONG = {"metrics-away-long", "only-pods-tell", "breach-in-outage"}


def cases() -> list[Case]:
    """All of them, in an order that spreads the long ones."""
    crashes = [case for name in MATRIX for case in matrix(name)]
    names = sorted(set(SCENARIOS) - LONG)
    recipes = [*(name for name in RECIPES if name != "none"), "mixed"]
    sample = [
        Case(name, 100 + number, recipe) for number, recipe in enumerate(recipes) for name in names
    ]
    return crashes + sample


def share(number: int) -> list[Case]:
    """One of :data:`SHARES` parts, each with some of everything."""
    return cases()[number::SHARES]
