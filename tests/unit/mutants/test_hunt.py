"""The hunt for mutants can fail: on bugs that nobody notices, on crashes, on texts that are gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.simulation.checker import NAMES
from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.hunt import SOURCE, hunt, judge
from tests.simulation.mutants.mutant import Edit, Look, Misplaced, Mutant, plant
from tests.simulation.mutants.stories import STORIES
from tests.simulation.scenarios import SCENARIOS

FIRST = (Look("first-deploy"),)


def seeded(invariant: str, *edits: Edit) -> Mutant:
    return Mutant("seeded", invariant, "for a test", edits, FIRST)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    package = tmp_path / "from" / "serinus"
    package.mkdir(parents=True)
    (package / "one.py").write_text("a = 1\nb = 1\n")
    return package.parent


def test_a_mutant_changes_its_text_and_nothing_else(source: Path, tmp_path: Path) -> None:
    plant(source, tmp_path / "to", seeded("I1", Edit("one.py", "a = 1", "a = 2")))
    assert (tmp_path / "to/serinus/one.py").read_text() == "a = 2\nb = 1\n"
    assert (source / "serinus/one.py").read_text() == "a = 1\nb = 1\n"


@pytest.mark.parametrize(
    ("file", "old", "count"), [("one.py", "c = 1", 0), ("one.py", "= 1", 2), ("two.py", "a", 0)]
)
def test_a_text_that_is_not_there_exactly_once_is_an_error(
    source: Path, tmp_path: Path, file: str, old: str, count: int
) -> None:
    with pytest.raises(Misplaced, match=f"is {count} times in {file}, not once"):
        plant(source, tmp_path / "to", seeded("I1", Edit(file, old, "x")))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_finds_its_place_in_the_operator_and_leaves_python(mutant: Mutant) -> None:
    texts: dict[str, str] = {}
    for edit in mutant.edits:
        text = texts.get(edit.file) or (SOURCE / "serinus" / edit.file).read_text()
        assert text.count(edit.old) == 1, f"change the mutant with the operator: {edit.file}"
        texts[edit.file] = text.replace(edit.old, edit.new)
    for file, text in texts.items():
        compile(text, file, "exec")
    for look in mutant.looks:
        assert look.scenario in SCENARIOS or look.scenario in STORIES


def test_every_invariant_has_a_mutant_and_every_mutant_a_name_of_its_own() -> None:
    assert {mutant.invariant for mutant in MUTANTS} == set(NAMES)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


async def test_a_change_without_effect_survives() -> None:
    edit = Edit("core/traffic.py", "Arithmetic of weights", "arithmetic of weights")
    verdict = await judge(seeded("I1", edit), FIRST)
    assert (verdict.caught, verdict.told) == (False, "nothing fired")


async def test_a_crash_catches_no_mutant() -> None:
    broken = seeded(
        "I1", Edit("core/traffic.py", "from math import ceil", "from math import sealing")
    )
    verdict = await judge(broken, FIRST)
    assert not verdict.caught
    assert "exit code" in verdict.told
    assert "sealing" in verdict.told


async def test_another_invariant_than_the_named_one_catches_no_mutant() -> None:
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    real = by_name["desired-pods-count-as-ready"]
    wrong = Mutant(real.name, "I9", real.what, real.edits, real.looks)
    verdicts = await asyncio.gather(judge(real, real.looks), judge(wrong, wrong.looks))
    assert [verdict.caught for verdict in verdicts] == [True, False]
    assert verdicts[0].told.startswith("I2 at ")
    assert verdicts[1].told == "I2 fired"


async def test_the_operator_as_it_is_makes_the_same_runs_and_has_to_pass(
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit = Edit("core/traffic.py", "return max(1, ceil", "return ceil(0 * replicas) or max(1, ceil")
    clean, verdict = await hunt([seeded("I1", edit)], jobs=2)
    assert (clean.mutant, clean.caught) == (None, True)
    assert not verdict.caught
    out = capsys.readouterr().out
    assert "the operator as it is" in out
    assert "SURVIVED" in out
