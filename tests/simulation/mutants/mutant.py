"""A seeded bug: one small change of the operator's source, and who has to notice it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


class Misplaced(Exception):
    """The text that a mutant changes is not found exactly once: the operator has changed under it."""


@dataclass(frozen=True, slots=True)
class Look:
    """One simulated run in which the bug shows.

    Attributes:
        faults: a recipe of the simulation's faults, or ``none``.
        seeds: tried one after the other until the invariant fires.
    """

    scenario: str
    faults: str = "none"
    seeds: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of text.

    Attributes:
        file: below ``operator/src/serinus``.
        old: text that is there exactly once.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug.

    Attributes:
        invariant: the one that must fire, by the name that the checker gives it.
        what: the bug, in the words of somebody who thinks that it is none.
        edits: one, or two where the operator is safe twice.
        looks: runs of which one must make the invariant fire.
    """

    name: str
    invariant: str
    what: str
    edits: tuple[Edit, ...]
    looks: tuple[Look, ...]


def plant(source: Path, target: Path, mutant: Mutant | None) -> None:
    """Copies the operator's source from ``source`` to ``target`` and makes the changes in the copy.

    Raises:
        Misplaced: an old text is not there, or more than once.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "sandbox", "cli"))
    for edit in mutant.edits if mutant is not None else ():
        path = target / "serinus" / edit.file
        text = path.read_text() if path.exists() else ""
        count = text.count(edit.old)
        if count != 1:
            raise Misplaced(f"a text is {count} times in {edit.file}, not once: {edit.old[:60]!r}")
        path.write_text(text.replace(edit.old, edit.new))
