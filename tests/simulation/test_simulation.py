"""The real operator under faults, in virtual time: no story may end otherwise than it should.

Cases come in shares, so that every worker of pytest has some. A failure prints the command that has
the run again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest

from .campaign import Case, Tally, work
from .plan import LEAST, SHARES, run_share
from .scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]


def judged(tally: Tally) -> None:
    """Fails with the commands that show what went wrong."""
    if tally.failed:
        pytest.fail(tally.text(), pytrace=False)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_without_faults_a_story_ends_as_it_should_and_then_nothing_is_written(name: str) -> None:
    judged(work([Case(name, 1, rest=10)]))


@pytest.mark.parametrize("name", ["happy-path", "pair-frozen", "flapping"])
def test_the_same_seed_is_the_same_run_byte_for_byte(name: str) -> None:
    case = Case(name, 7, "mixed")
    first, second = case.run(), case.run()
    assert first.digest() == second.digest()
    assert Case(name, 8, "mixed").run().digest() != first.digest()


def test_another_process_with_other_hashes_has_the_same_run() -> None:
    case = Case("flapping", 7, "mixed")
    code = f"from tests.simulation.campaign import Case; print(Case(*{astuple(case)[:3]}).run().digest())"
    env = {**os.environ, "PYTHONHASHSEED": "4711"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == case.run().digest()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(SHARES))
def test_no_fault_breaks_a_promise(number: int) -> None:
    tally = run_share(number)
    judged(tally)
    assert tally.injected >= LEAST / SHARES
