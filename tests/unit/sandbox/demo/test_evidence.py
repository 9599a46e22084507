"""The demo succeeds only on what was read back and answered; each missing proof fails it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from serinus.api.status import Failed
from serinus.sandbox.demo.evidence import (
    After,
    Evidence,
    Readback,
    Shift,
    missing,
    reaction,
)
from serinus.sandbox.demo.summary import Place, facts, places, summary
from serinus.sandbox.demo.traffic import Account, Answer, Outcome
from serinus.sandbox.demo.training import Trained

Build = SimpleNamespace
TRAINED = tuple(Trained(n, "a model", 0.8 + n / 20, 100, 100) for n in (1, 2, 3))


@pytest.fixture
def good(build: Build) -> Evidence:
    """Everything went as it should."""
    account = Account()
    for second in range(60):
        account.add(Answer(float(second), "1" if second < 20 else "2", Outcome.OK, 0.01))
    account.add(Answer(50.0, "3", Outcome.OK, 0.01))
    account.add(Answer(51.0, "3", Outcome.MODEL_ERROR, 0.01))
    account.add(Answer(57.5, "3", Outcome.OK, 0.5))
    readback = Readback(stable="2", failed="", rolled_back=False, weights={"2": 100})
    after = replace(readback, failed="3", rolled_back=True, weights={"2": 100, "3": 0})
    weights = [("2", 10), ("2", 30), ("2", 60), ("2", 100), ("3", 10), ("3", 0)]
    return Evidence(
        account=account,
        steps=(10, 30, 60),
        shifts=[Shift(build.at(10 * n), version, w) for n, (version, w) in enumerate(weights)],
        marks={"2": build.at(-5)},
        promotion=After(readback, {"2": 300}),
        rollback=After(after, {"2": 300, "3": 0}),
        failed=Failed.model_validate(build.failed()),
    )


def test_nothing_is_missing_when_everything_was_seen(good: Evidence) -> None:
    assert missing(good) == []


def promotion(evidence: Evidence, **changed: object) -> None:
    assert evidence.promotion is not None
    evidence.promotion = replace(evidence.promotion, **changed)  # type: ignore[arg-type]


def rollback(evidence: Evidence, **changed: object) -> None:
    assert evidence.rollback is not None
    evidence.rollback = replace(evidence.rollback, **changed)  # type: ignore[arg-type]


def no_promotion(evidence: Evidence) -> None:
    evidence.promotion = None


def still_version_1(evidence: Evidence) -> None:
    promotion(evidence, readback=Readback("1", "", rolled_back=False, weights={"1": 100}))


def route_is_not_done(evidence: Evidence) -> None:
    promotion(evidence, readback=Readback("2", "", rolled_back=False, weights={"1": 1, "2": 99}))


def version_1_still_answers(evidence: Evidence) -> None:
    promotion(evidence, answers={"1": 3, "2": 300})


def version_2_answers_nothing(evidence: Evidence) -> None:
    promotion(evidence, answers={})


def a_step_was_skipped(evidence: Evidence) -> None:
    evidence.shifts = [shift for shift in evidence.shifts if shift.weight != 30]


def no_rollback(evidence: Evidence) -> None:
    evidence.rollback = None


def another_failed(evidence: Evidence) -> None:
    rollback(evidence, readback=Readback("2", "", rolled_back=True, weights={"2": 100}))


def no_condition(evidence: Evidence) -> None:
    rollback(evidence, readback=Readback("2", "3", rolled_back=False, weights={"2": 100}))


def canary_keeps_weight(evidence: Evidence) -> None:
    weights = {"2": 90, "3": 10}
    rollback(evidence, readback=Readback("2", "3", rolled_back=True, weights=weights))


def version_3_still_answers(evidence: Evidence) -> None:
    rollback(evidence, answers={"2": 300, "3": 1})


def version_3_was_never_asked(evidence: Evidence) -> None:
    account = Account()
    account.add(Answer(0.0, "1", Outcome.OK, 0.01))
    evidence.account = account


def version_3_never_failed(evidence: Evidence) -> None:
    account = Account()
    for version in ("1", "3"):
        account.add(Answer(0.0, version, Outcome.OK, 0.01))
    evidence.account = account


def a_wrong_answer(evidence: Evidence) -> None:
    evidence.account.add(Answer(58.0, "2", Outcome.WRONG, 0.01), "predictions [0], expected [1]")


def trouble(evidence: Evidence) -> None:
    evidence.trouble = "the API server is gone"


FLAWS = {
    no_promotion: "version 2 was not promoted",
    still_version_1: "status.stable is version 1, not version 2",
    route_is_not_done: "weights version 1: 1, version 2: 99",
    version_1_still_answers: "3 answers still came from version 1",
    version_2_answers_nothing: "version 2 answered nothing",
    a_step_was_skipped: "version 2 was never seen at 30 %",
    no_rollback: "version 3 was not rolled back",
    another_failed: "status.failed is empty, not version 3",
    no_condition: "the condition RolledBack is not True",
    canary_keeps_weight: "weights version 2: 90, version 3: 10",
    version_3_still_answers: "1 answers still came from version 3",
    version_3_was_never_asked: "version 3 got no request",
    version_3_never_failed: "version 3 never failed a request",
    a_wrong_answer: "1 answers were not what their version says",
    trouble: "the API server is gone",
}


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_one_missing_proof_fails_the_demo_and_is_named(
    good: Evidence, flaw: Callable[[Evidence], None]
) -> None:
    flaw(good)
    assert any(FLAWS[flaw] in line for line in missing(good)), missing(good)
    assert "did not show what it is for" in text_of(good)


def test_the_reaction_is_measured_by_the_operator_and_by_the_client(good: Evidence) -> None:
    took = reaction(good)
    assert took.operator == timedelta(seconds=6.5)
    assert took.client == 6.5


def test_a_refused_request_is_told_with_when_and_why(build: Build, good: Evidence) -> None:
    good.account.add(Answer(30.0, "", Outcome.REFUSED, 0.0), "ConnectionRefusedError: gone")
    said = "\n".join(f"{label} {text}" for label, text in facts(good, build.t0))
    assert "requests 1 refused, 0 answered wrongly" in said
    assert "refused at " in said
    assert "after version 3 got 0 %: ConnectionRefusedError: gone" in said


def test_an_error_of_a_good_version_is_told_and_those_of_version_3_are_not(
    build: Build, good: Evidence
) -> None:
    good.account.add(Answer(30.0, "2", Outcome.MODEL_ERROR, 0.0), "status 503: full")
    good.account.add(Answer(30.0, "3", Outcome.MODEL_ERROR, 0.0), "status 500: as planned")
    said = "\n".join(f"{label} {text}" for label, text in facts(good, build.t0))
    assert "version 2, model error at " in said
    assert "status 503: full" in said
    assert "as planned" not in said


def test_the_summary_of_a_good_demo_has_the_numbers(good: Evidence) -> None:
    text = text_of(good)
    for part in (
        "Version 2 was promoted and version 3 was rolled back, in 90 s.",
        "10 % after 5 s, 30 % after 15 s, 60 % after 25 s, 100 % after 35 s",
        "6.5 s from the first breached slot to weight 0",
        "0 refused, 0 answered wrongly",
        "3 breached slots in a row",
        "95.0%",
    ):
        assert part in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_summary_keeps_to_the_width_of_the_terminal(good: Evidence, width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(good, TRAINED, good.marks["2"], 90.0))
    assert max(map(len, out.getvalue().splitlines())) <= width


def test_a_kept_sandbox_is_left_with_commands_that_name_it() -> None:
    lines = places(
        Place(
            sandbox="demo",
            kubeconfig=Path("/state/kubeconfig"),
            gateway_url="http://127.0.0.1:1",
            mlflow_url="http://127.0.0.1:2",
            prometheus_url=None,
            namespace="ml",
            name="tumor",
            hostname="tumor.example.com",
            example_row=Path("/state/row.json"),
            serinus=".venv/bin/serinus",
        )
    )
    assert lines[0] == "export KUBECONFIG=/state/kubeconfig"
    assert lines[-1] == ".venv/bin/serinus sandbox down --name demo"
    assert any("-d @/state/row.json http://127.0.0.1:1/invocations" in line for line in lines)
    assert any("""-p '{"spec":{"model":{"uri":"models:/tumor/2"}}}'""" in line for line in lines)
    assert not any("None" in line for line in lines)


def text_of(evidence: Evidence) -> str:
    out = io.StringIO()
    began = evidence.marks["2"]
    Console(file=out, width=160).print(summary(evidence, TRAINED, began, 90.0))
    return out.getvalue()
