"""What a run tells: a wrong end, a crash of the operator, and how to have it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .campaign import Case, Tally
from .cli import main
from .matrix import explore
from .people import NAMESPACE
from .run import Scenario, run
from .scenarios.basics import at_rest, first_deploy, serving
from .store import Address
from .world import World


def broken(scenario: Scenario) -> list[str]:
    return [f"{t.invariant}: {t.message}" for t in run(scenario, 1).troubles]


def test_an_end_that_is_not_the_expected_one_is_noticed() -> None:
    (told,) = broken(Scenario("wrong", first_deploy, (at_rest("9"),), limit=20.0))
    assert told.startswith("L1: after 20 s")
    assert '"stable": "1"' in told


def test_a_story_that_waits_in_vain_is_noticed() -> None:
    async def in_vain(w: World) -> None:
        await first_deploy(w)
        await serving(w, "2", 10.0)

    (told,) = broken(Scenario("vain", in_vain, (at_rest("1"),)))
    assert "version 2 alone did not happen within 10 s" in told


def test_a_crash_of_the_reconcile_is_noticed() -> None:
    async def odd(w: World) -> None:
        await first_deploy(w)
        (service,) = w.store.list("services", NAMESPACE, {})
        labels = service["metadata"]["labels"]
        owner = {"uid": service["metadata"]["uid"], "kind": "Service", "name": "x"}
        odd = {
            "metadata": {"labels": labels, "ownerReferences": [owner]},
            "endpoints": [{"addresses": 7}],
        }
        w.store.create(Address("endpointslices", NAMESPACE, "odd"), odd)
        await w.sleep(3.0)

    assert any(told.startswith("crash: ") for told in broken(Scenario("odd", odd, (), limit=5.0)))


def test_a_forked_run_is_the_run_that_the_command_shows() -> None:
    forked = explore("first-deploy", kinds=("after-commit",), chosen=lambda index: index == 30)
    alone = Case("first-deploy", 1, at=("30:after-commit",)).run()
    assert (forked.runs, forked.calls, forked.faults) == (1, alone.calls, alone.faults)
    assert forked.faults == {"crash after-commit": 1}


def test_the_command_line_has_a_run_again_and_writes_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    assert main(["--scenario", "first-deploy", "--crash", "9:before", "--log", str(path)]) == 0
    events = [json.loads(line) for line in path.read_text().splitlines()]
    kinds = [event["kind"] for event in events]
    assert kinds.count("crash") == 1
    assert kinds[-1] == "end"
    assert Case("first-deploy", 1, at=("9:before",)).run().digest() in capsys.readouterr().out


def test_a_failed_case_is_told_with_its_command() -> None:
    tally = Tally()
    case = Case("happy-path", 3, "watch+errors")
    result = run(Scenario("wrong", first_deploy, ({"phase": "Odd"},), limit=10.0), 3)
    tally.add(case, result)
    assert "--scenario happy-path --seed 3 --faults watch+errors" in tally.text()
