"""The live view says what the status and the requests say, in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from serinus.api.status import ModelDeploymentStatus, Verdict
from serinus.sandbox.demo.frame import Line, Scene, Tone, frame, sentence
from serinus.sandbox.demo.traffic import Recent

Build = SimpleNamespace
MakeScene = Callable[..., Scene]


@pytest.fixture
def scene(build: Build) -> MakeScene:
    def make(status: ModelDeploymentStatus, **more: Any) -> Scene:
        fields = {
            "now": build.at(20),
            "began": build.t0,
            "act": "2 of 3",
            "spec": build.spec,
            "status": status,
            "recent": {},
            "requests": 10,
            "refused": 0,
            "wrong": 0,
            "story": (),
        }
        return Scene(**(fields | more))

    return make


SENTENCES = {
    "nothing is known yet": ({}, "The operator looks the model up."),
    "the first version is loading": (
        {"stable": ("1", 0)},
        "Version 1 is loading; it is the first and will get all requests.",
    ),
    "one version at rest": ({"stable": ("1", 100)}, "Version 1 answers every request."),
    "a canary without traffic": (
        {"stable": ("1", 100), "canary": ("2", 0), "rollout": ("Scaling", 0, {})},
        "Version 2 is loading beside version 1, without traffic.",
    ),
    "a shift": (
        {"stable": ("1", 90), "canary": ("2", 10), "rollout": ("Shifting", 0, {})},
        "The gateway gives 10 % of the requests to version 2.",
    ),
    "a hold": (
        {"stable": ("1", 90), "canary": ("2", 10), "rollout": ("Holding", 0, {})},
        "Version 2 has 10 % of the requests and is being judged.",
    ),
    "pods for the next step": (
        {"stable": ("1", 90), "canary": ("2", 10), "rollout": ("Scaling", 1, {})},
        "Version 2 did well and gets ready for 30 % of the requests.",
    ),
    "a breach": (
        {"stable": ("2", 90), "canary": ("3", 10), "rollout": ("Holding", 0, {"breaches": 2})},
        "Version 3 breaks its bounds: breach 2 of 3.",
    ),
    "the promotion": (
        {"stable": ("1", 0), "canary": ("2", 100), "rollout": ("Shifting", 3, {})},
        "Version 2 has passed every step and takes over.",
    ),
    "a rollback": (
        {"stable": ("2", 100), "canary": ("3", 0), "rollout": ("RollingBack", 0, {})},
        "Version 3 loses its traffic now.",
    ),
    "after a rollback": (
        {"stable": ("2", 100), "failed": True},
        "Version 3 was taken back; version 2 answers every request.",
    ),
}


def status_of(build: Build, parts: dict[str, Any]) -> ModelDeploymentStatus:
    fields: dict[str, Any] = {}
    for role in ("stable", "canary"):
        if role in parts:
            # A stable revision that has given all of its weight away still had some.
            version, weight = parts[role]
            promoting = role == "stable" and "canary" in parts
            fields[role] = build.arm(version, weight or (1 if promoting else 0), weight)
    if "rollout" in parts:
        stage, step, more = parts["rollout"]
        fields["rollout"] = build.rolling(stage, step, **more)
    if "failed" in parts:
        fields["failed"] = build.failed()
    return build.status(**fields)


@pytest.mark.parametrize("name", SENTENCES)
def test_one_sentence_says_what_happens_now(build: Build, name: str) -> None:
    parts, expected = SENTENCES[name]
    assert sentence(build.spec, status_of(build, parts)) == expected


def test_weights_are_the_observed_ones_or_as_long_as_one_is_unknown_the_requested(
    build: Build, scene: MakeScene
) -> None:
    status = build.status(stable=build.arm("1", 90, 100), canary=build.arm("2", 10))
    picture = frame(scene(status))
    assert picture.stable is not None
    assert picture.canary is not None
    assert (picture.stable.weight, picture.canary.weight, picture.canary_weight) == (90, 10, 10)

    status = build.status(stable=build.arm("1", 90, 100), canary=build.arm("2", 10, 0))
    picture = frame(scene(status))
    assert picture.stable is not None
    assert (picture.stable.weight, picture.canary_weight) == (100, 0)


def test_numbers_over_the_bounds_are_marked(build: Build, scene: MakeScene) -> None:
    status = build.status(stable=build.arm("2", 90, 90), canary=build.arm("3", 10, 10))
    recent = {"2": Recent(100, 10.0, 0.01, 0.2, 0.25), "3": Recent(10, 1.0, 0.2, 0.2, 0.251)}
    picture = frame(scene(status, recent=recent))
    assert picture.stable is not None
    assert picture.canary is not None
    assert (picture.stable.errors_bad, picture.stable.p99_bad) == (False, False)
    assert (picture.canary.errors_bad, picture.canary.p99_bad) == (True, True)
    assert picture.canary.recent.per_second == 1.0


@pytest.mark.parametrize(
    ("rollout", "text", "share"),
    [
        (("Holding", 1, 17), "step 2 of 3 · 30 % · held 3 of 6 s", 0.5),
        (("Holding", 0, 2), "step 1 of 3 · 10 % · held 6 of 6 s", 1.0),
        (("Holding", 0, 25), "step 1 of 3 · 10 % · held 0 of 6 s", 0.0),
        (("Shifting", 2, None), "step 3 of 3 · 60 % · shifting", 0.0),
        (("Shifting", 3, None), "promotion to 100 %", 1.0),
    ],
)
def test_progress_names_the_step_and_its_hold(
    build: Build, scene: MakeScene, rollout: tuple[str, int, int | None], text: str, share: float
) -> None:
    stage, step, began = rollout
    more = {} if began is None else {"holdStartedAt": build.time(began)}
    status = build.status(
        stable=build.arm("1", 90),
        canary=build.arm("2", 10),
        rollout=build.rolling(stage, step, **more),
    )
    progress = frame(scene(status)).progress
    assert progress is not None
    assert (progress.text, progress.share) == (text, share)


def test_readings_are_those_of_the_latest_slot_that_was_judged(
    build: Build, scene: MakeScene
) -> None:
    verdicts = [build.verdict(v, n) for n, v in enumerate(["Healthy", "Breach", "Insufficient"])]
    status = build.status(
        stable=build.arm("2", 90),
        canary=build.arm("3", 10),
        rollout=build.rolling("Holding", verdicts=verdicts),
    )
    picture = frame(scene(status))
    assert picture.verdicts == (Verdict.HEALTHY, Verdict.BREACH, Verdict.INSUFFICIENT)
    assert [reading.verdict for reading in picture.readings] == [Verdict.BREACH]
    assert picture.readings[0].text == "errors: 25 % (stable 0 %, limit 1 %)"


def test_the_story_is_told_in_seconds_since_the_beginning(build: Build, scene: MakeScene) -> None:
    story = (Line(build.at(3), Tone.ACTION, "kubectl apply"),)
    picture = frame(scene(build.status(), story=story))
    assert picture.story == ((timedelta(seconds=3), story[0]),)
