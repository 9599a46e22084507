"""The event loop calls the model only while that is quick."""

from __future__ import annotations

import time

from serinus_server.service.placement import ALLOWED, Placement

QUICK, SLOW, MS = ALLOWED / 10, ALLOWED * 5, 0.001


def test_a_model_that_was_not_quick_at_load_is_never_called_on_the_loop() -> None:
    assert Placement(0).on_loop is False


def test_quick_calls_stay_on_the_loop() -> None:
    placement = Placement(64)
    for _ in range(10_000):
        placement.begin()
        placement.end()
    assert placement.on_loop


def test_a_model_that_computes_for_long_leaves_the_loop_after_a_few_calls() -> None:
    placement = Placement(64)
    calls = 0
    while placement.on_loop:
        placement.judge(SLOW, SLOW)
        calls += 1
    assert calls <= 3


def test_one_very_slow_call_is_enough() -> None:
    placement = Placement(64)
    placement.judge(100 * MS, 100 * MS)
    assert not placement.on_loop


def test_a_model_that_waits_leaves_the_loop_too() -> None:
    placement = Placement(64)
    calls = 0
    while placement.on_loop:
        placement.judge(20 * MS, 0.0)
        calls += 1
    assert calls < 12


def test_a_process_that_loses_the_processor_now_and_then_keeps_its_model_on_the_loop() -> None:
    placement = Placement(64)
    for call in range(10_000):
        late = call % 10 == 0
        placement.judge(8 * MS if late else QUICK, 2 * MS if late else QUICK)
        assert placement.on_loop


def test_a_call_is_measured_while_it_runs() -> None:
    placement = Placement(64)
    placement.begin()
    begin = time.thread_time()
    while time.thread_time() - begin < 20 * MS:
        sum(range(1000))
    assert placement.end() >= 20 * MS
    assert not placement.on_loop
