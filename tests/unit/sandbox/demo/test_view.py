"""The picture fits its terminal, and the plain lines tell what changed and nothing twice."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from serinus.api.status import Verdict
from serinus.sandbox.demo.frame import Frame, Line, Scene, Tone, frame
from serinus.sandbox.demo.traffic import Recent
from serinus.sandbox.demo.view import changes, clock, milliseconds, percent, render

Build = SimpleNamespace
LONG = "a sentence that nobody wants to read to its end because it never seems to have one at all"


@pytest.fixture
def picture(build: Build) -> Frame:
    """Version 3 in the middle of breaking its bounds."""
    verdicts = [build.verdict("Healthy")] + [build.verdict("Breach", n) for n in range(9)]
    status = build.status(
        stable=build.arm("2", 90, 90, ready=2),
        canary=build.arm("3", 10, 10),
        rollout=build.rolling(
            "Holding", breaches=2, holdStartedAt=build.time(17), verdicts=verdicts
        ),
    )
    return frame(
        Scene(
            now=build.at(83),
            began=build.t0,
            act="3 of 3: a model that only looks better",
            spec=build.spec,
            status=status,
            recent={
                "2": Recent(900, 90.0, 0.0, 0.01, 0.012),
                "3": Recent(100, 10.0, 0.25, 0.5, 0.61),
            },
            requests=12345,
            refused=0,
            wrong=0,
            story=tuple(Line(build.at(n), Tone.NORMAL, f"{n} {LONG}") for n in range(12)),
        )
    )


def draw(picture: Frame, width: int, **console: Any) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, **console).print(render(picture, width))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal_and_none_wraps(picture: Frame, width: int) -> None:
    lines = draw(picture, width)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 23


def test_the_picture_shows_both_versions_their_numbers_and_the_verdicts(picture: Frame) -> None:
    text = "\n".join(draw(picture, 80))
    for part in (
        "Version 3 breaks its bounds: breach 2 of 3.",
        "version 2  90 %",
        "version 3  10 %",
        "step 1 of 3 · 10 % · held 6 of 6 s",
        "✓ ✗",
        "✗ errors: 25 % (stable 0 %, limit 1 %)",
        "610 ms",
        "12,345 requests · 0 refused · 0 wrong",
        "1:23",
    ):
        assert part in text


def test_the_bar_is_divided_as_the_requests_are(picture: Frame) -> None:
    bar = next(line for line in draw(picture, 84) if "█" in line).strip()
    assert len(bar) == 80
    assert bar.count("▓") == 8


def test_the_height_stays_the_same_from_rest_to_rollout(build: Build, picture: Frame) -> None:
    at_rest = replace(
        picture, canary=None, progress=None, readings=(), verdicts=(), canary_weight=0
    )
    assert len(draw(at_rest, 80)) == len(draw(picture, 80))


def test_without_colour_there_is_no_control_character(picture: Frame) -> None:
    text = "\n".join(draw(picture, 80, force_terminal=True, color_system=None))
    assert "\x1b[3" not in text


def test_plain_lines_say_everything_once_and_then_only_what_is_new(picture: Frame) -> None:
    first = changes(None, picture)
    assert first[0] == "1:23  3 of 3: a model that only looks better"
    assert sum(LONG in line for line in first) == 12
    assert not any("Breach" in line for line in first), "the operator's Event tells of it"
    assert any("version 3 at 10 %: 10 requests/s, errors 25 %" in line for line in first)
    assert changes(picture, picture) == []
    assert not any("\x1b" in line for line in first)


def test_a_new_verdict_is_a_plain_line_with_what_clients_see(build: Build, picture: Frame) -> None:
    after = replace(picture, judged=(build.at(90), Verdict.HEALTHY))
    lines = changes(picture, after)
    assert lines[0].startswith("1:23  ✓ Healthy: errors:")
    assert "clients see version 2 at 90 %: 90 requests/s, errors 0 %, p99 12 ms" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (0.004, "0.4 %"),
        (0.0994, "9.9 %"),
        (0.25, "25 %"),
        (1.0, "100 %"),
    ],
)
def test_percent_has_as_many_digits_as_people_need(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_clock_and_milliseconds() -> None:
    assert clock(timedelta(seconds=65.9)) == "1:05"
    assert clock(timedelta(seconds=-1)) == "0:00"
    assert milliseconds(0.0124) == "12 ms"
    assert milliseconds(None) == "-"
