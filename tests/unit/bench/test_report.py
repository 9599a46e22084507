"""What people read: every target with its numbers, and every gap with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.bars import judge
from bench.cases import CASES
from bench.measurements import CPU, RATE, Measurements, rate_at
from bench.report import BEGIN, END, Surroundings, as_document, as_markdown, write
from bench.rounds import Options

AROUND = Surroundings("today", "a processor", 2, True, "3.11", {"KServe": "1.0"}, 0.1, 0.2)
OPTIONS = Options(seconds=1.0, rounds=2, time_limit=100.0)


def _found() -> Measurements:
    found = Measurements(rounds=2)
    for number, (ours, theirs) in enumerate([(8000.0, 1000.0), (10000.0, 1000.0)]):
        for target, value in (("serinus", ours), ("kserve-v1", theirs)):
            found.add("single", rate_at(16), target, number, value)
            found.add("single", RATE, target, number, value)
            found.add("single", CPU, target, number, 1e6 / value)
    found.requests = {"serinus": 18000, "kserve-v1": 2000}
    found.errors = {"serinus": 0, "kserve-v1": 0}
    found.core_shares = {"serinus": [1.0], "kserve-v1": [0.5]}
    found.lacks("single", "bentoml", "not installed: no network")
    return found


def _text(found: Measurements) -> str:
    verdicts = judge(found, ["single"], ["kserve-v1", "bentoml"])
    return as_markdown(found, verdicts, [CASES["single"]], AROUND, OPTIONS)


def test_medians_and_the_median_of_the_ratios_are_shown_for_each_server() -> None:
    lines = [line for line in _text(_found()).splitlines() if line.startswith("| KServe, V1")]
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        "KServe, V1", "1,000", "-", "1,000", "-", "-", "-", "-", "9.00",
    ]  # fmt: skip


def test_what_could_not_be_measured_is_told_with_its_reason() -> None:
    text = _text(_found())
    assert "- bentoml (single): not installed: no network" in text
    assert "not judged (not measured: bentoml" in text


def test_a_server_that_did_not_get_the_core_is_named() -> None:
    assert "KServe, V1 50%" in _text(_found())


def test_errors_are_told_with_the_first_one() -> None:
    found = _found()
    found.errors["kserve-v1"] = 3
    found.first_errors["kserve-v1"] = "503: busy"
    assert "KServe, V1: 3 errors, the first: 503: busy" in _text(found)


def test_programs_get_the_values_of_every_round() -> None:
    found = _found()
    verdicts = judge(found, ["single"], ["kserve-v1"])
    document = json.loads(json.dumps(as_document(found, verdicts, AROUND, OPTIONS)))
    (rate,) = [
        value
        for value in document["values"]
        if value["metric"]["name"] == "requests" and value["target"] == "serinus"
    ]
    assert rate["rounds"] == {"0": 8000.0, "1": 10000.0}
    assert document["bars"][0]["state"] == "pass"
    assert document["bars"][0]["ratio"] == 9.0


def test_tables_replace_what_stood_between_the_markers(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(file, "new")
    assert file.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    file.write_text("no markers\n")
    with pytest.raises(ValueError, match="make bench-server"):
        write(file, "new")
