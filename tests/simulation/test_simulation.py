"""The real operator under faults, in virtual time: no story may end otherwise than it should.

Cases come in shares, so that every worker of pytest has some. A failure prints the command that has
the run again.
"""

from __future__ import annotations

import pytest

from .campaign import Case, Tally, work
from .plan import LEAST, SHARES, run_share
from .scenarios import SCENARIOS


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


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(SHARES))
def test_no_fault_breaks_a_promise(number: int) -> None:
    tally = run_share(number)
    judged(tally)
    assert tally.injected >= LEAST / SHARES
