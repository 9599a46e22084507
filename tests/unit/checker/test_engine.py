"""What holds for all invariants together, and for the checker itself."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from handmade import SPEC, serving
from tests.simulation.checker import INVARIANTS, NAMES, engine
from tests.simulation.checker.evidence import breaks, tail
from tests.simulation.checker.spec import read_spec

PACKAGE = Path(engine.__file__).parent
PROMISED = {*(f"I{n}" for n in range(1, 16)), "L1", "L2", "L3", "B1", "INV-24", "INV-25"}


def test_every_promise_of_the_design_has_its_check() -> None:
    assert set(NAMES) == PROMISED
    assert all((check.__doc__ or "").startswith(f"{check.name}: ") for check in INVARIANTS)


def test_the_documentation_lists_every_promise_in_the_words_of_its_check() -> None:
    text = (PACKAGE.parents[2] / "docs/simulation.md").read_text()
    for check in INVARIANTS:
        name, _, sentence = (check.__doc__ or "").partition("\n")[0].partition(": ")
        assert f"| {name} | {sentence.removesuffix('.')} |" in text


def test_the_checker_imports_the_standard_library_and_itself_only() -> None:
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{path.name} reaches out of its package"
                roots = [] if node.level else [(node.module or "").partition(".")[0]]
            else:
                continue
            assert set(roots) <= sys.stdlib_module_names, f"{path.name} imports {roots}"


def test_a_violation_names_invariant_time_and_object() -> None:
    log = serving().look()
    log.route(weights={})
    (first, *_) = log.check()
    assert str(first) == "I1 at 10.000 s, ml/churn: operator-1 sent a route with no backend"


def test_defaults_are_those_of_the_documentation() -> None:
    spec = read_spec({"model": {"uri": "models:/m/1"}})
    assert spec.steps == ((5, 120.0), (25, 300.0), (50, 300.0))
    assert (spec.interval, spec.failure_threshold, spec.min_requests) == (10.0, 3, 100)
    assert (spec.replicas, spec.scale_down_delay, spec.error_bound) == (2, 30.0, 0.01)
    assert (spec.on_breach, spec.insufficient, spec.insufficient_after) == (
        "Rollback",
        "Pause",
        1800.0,
    )


def test_steps_and_replicas_ask_for_no_other_revision_but_a_retry_token_for_another_try() -> None:
    base = read_spec(SPEC)
    other = {**SPEC, "server": {"replicas": 9}, "rollout": {"steps": [], "retryToken": "x"}}
    assert read_spec(other).base == base.base
    assert read_spec(other).key != base.key
    assert read_spec({**SPEC, "server": {"image": "x"}}).base != base.base


def test_the_tail_of_the_binomial_is_exact() -> None:
    assert abs(tail(4, 100, 0.01) - 0.01837) < 1e-5
    assert tail(0, 100, 0.01) == 1.0
    assert not breaks(5, 100, 0.01)
    assert breaks(50, 100, 0.01)
