"""A revision's identity must not change with a library or a release: the hashes below are for ever."""

from __future__ import annotations

import pytest

from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import PinnedModel
from serinus.core.revision import latency_bounds, new_arm, revision_of, short

MODEL = PinnedModel(
    uri="models:/churn@champion",
    pinned_uri="models:/churn/7",
    name="churn",
    version="7",
    digest="sha256:ab",
)
GOLDEN = {
    "defaults": ({}, "v1:35de51982e37b89e5278d5aac27e8d31b911c33902b7e369d8aaae3c0405ca75"),
    "everything": (
        {
            "image": "repo/server@sha256:" + "0" * 64,
            "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"nvidia.com/gpu": 1}},
            "env": [
                {"name": "OMP_NUM_THREADS", "value": "1"},
                {"name": "MODEL_NAME_U", "value": 'a b="c"'},
            ],
            "warmup": {"requests": 0},
            "loadTimeout": "1h30m",
        },
        "v1:baaaba00483451cde24df0c53e6cf706565077000f322d29aeb16b26c72bee00",
    ),
    "limits of requests": (
        {"requestLimits": {"timeout": "1500ms", "maxBytes": 4096, "maxBatchRows": 1}},
        "v1:79bd2fe0ff57cf86a2d98e9d492c32d79d711ba51b2bcb27dff50a4867241fe5",
    ),
}


def spec(server: dict, **more: object) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate(
        {"model": {"uri": MODEL.uri}, "server": server, **more}
    )


@pytest.mark.parametrize(("server", "want"), GOLDEN.values(), ids=GOLDEN)
def test_golden_hashes(server: dict, want: str) -> None:
    assert revision_of(spec(server), MODEL) == want


def test_limits_of_which_nothing_is_said_are_no_part_of_the_identity() -> None:
    assert revision_of(spec({"requestLimits": {}}), MODEL) == revision_of(spec({}), MODEL)


def test_an_alias_and_the_version_behind_it_are_the_same_revision() -> None:
    by_version = MODEL.model_copy(update={"uri": "models:/churn/7"})
    assert revision_of(spec({}), by_version) == revision_of(spec({}), MODEL)


def test_other_bytes_are_another_revision() -> None:
    other = MODEL.model_copy(update={"digest": "sha256:cd"})
    assert revision_of(spec({}), other) != revision_of(spec({}), MODEL)


def test_the_order_of_env_does_not_matter_and_quantities_may_be_numbers_or_strings() -> None:
    env = [{"name": "MODEL_A", "value": "1"}, {"name": "MODEL_B", "value": "2"}]
    assert revision_of(spec({"env": env}), MODEL) == revision_of(spec({"env": env[::-1]}), MODEL)
    one = revision_of(spec({"resources": {"requests": {"cpu": 1}}}), MODEL)
    assert one == revision_of(spec({"resources": {"requests": {"cpu": "1"}}}), MODEL)


def test_the_operators_default_image_is_pinned_but_not_part_of_the_identity() -> None:
    a, b = (new_arm(spec({}), MODEL, image) for image in ("image:1", "image:2"))
    assert (a.image, b.image) == ("image:1", "image:2")
    assert a.revision == b.revision


def test_the_short_revision_is_what_names_carry() -> None:
    assert short("v1:0123456789abcdef") == "01234567"


def test_latency_bounds_become_seconds() -> None:
    metrics = [
        {"name": "a", "type": "Latency", "max": "1s500ms"},
        {"name": "b", "type": "Latency", "max": "250ms"},
        {"name": "c", "type": "ErrorRate", "max": "0.01"},
    ]
    assert latency_bounds(spec({}, analysis={"metrics": metrics})) == ("0.25", "1.5")
