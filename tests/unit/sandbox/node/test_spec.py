"""What a container is to run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from serinus.sandbox.node import images, spec

FOLDER = Path("/pods/p")
NOTHING = spec.Values({}, {})


def make_pod(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "namespace": "ml",
            "uid": "u",
            "labels": {"app": "web"},
            "annotations": {"a/b": "c"},
        },
        "spec": {"nodeName": "n", "containers": list(containers), **more},
        "status": {"podIP": "127.70.1.10", "hostIP": "127.70.1.1"},
    }


def make_container(**more: Any) -> dict[str, Any]:
    return {"name": "c", "image": "serinus-server:1", **more}


def launch(container: dict[str, Any], values: spec.Values = NOTHING) -> spec.Launch:
    return spec.launch(make_pod(container), container, values, FOLDER)


@pytest.mark.parametrize(
    "image",
    [
        "serinus-server",
        "serinus-server:0.1.0",
        "ghcr.io/serinus-dev/serinus-server:0.1.0",
        "localhost:5000/serinus-server@sha256:" + "0" * 64,
    ],
)
def test_the_projects_image_is_its_server(image: str) -> None:
    assert images.entrypoint(image) == [sys.executable, "-m", "serinus_server"]


@pytest.mark.parametrize("image", ["nginx", "my-serinus-server", "serinus-server/x", "a b", ""])
def test_no_other_image_can_be_had(image: str) -> None:
    assert images.entrypoint(image) is None


def test_the_server_listens_on_the_pods_address_and_has_a_clean_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/evil")
    made = launch(make_container())
    assert made.command == (sys.executable, "-m", "serinus_server")
    assert made.env["SERINUS_HOST"] == "127.70.1.10"
    assert made.env["SERINUS_TERMINATION_LOG"] == "/pods/p/c/termination-log"
    assert "PYTHONPATH" not in made.env
    assert made.env["HOME"].startswith("/pods/p/")


def test_command_and_args_replace_the_images() -> None:
    made = launch(
        make_container(
            command=["run", "$(NAME)", "$$(NAME)", "$(UNKNOWN)"],
            args=["--x"],
            env=[{"name": "NAME", "value": "v"}],
        )
    )
    assert made.command == ("run", "v", "$(NAME)", "$(UNKNOWN)", "--x")
    assert launch(make_container(args=["--y"])).command[-1] == "--y"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "ml"),
        ("metadata.uid", "u"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['a/b']", "c"),
        ("metadata.labels['none']", ""),
        ("spec.nodeName", "n"),
        ("status.podIP", "127.70.1.10"),
        ("status.hostIP", "127.70.1.1"),
    ],
)
def test_fields_of_the_pod_can_be_variables(path: str, value: str) -> None:
    source = {"fieldRef": {"fieldPath": path}}
    made = launch(make_container(env=[{"name": "X", "valueFrom": source}]))
    assert made.env["X"] == value


def test_an_unknown_field_is_an_error() -> None:
    source = {"fieldRef": {"fieldPath": "spec.nope"}}
    with pytest.raises(spec.ConfigError, match=r"spec\.nope"):
        launch(make_container(env=[{"name": "X", "valueFrom": source}]))


def test_secrets_and_config_maps_can_be_variables() -> None:
    values = spec.Values({"cm": {"k": "v"}}, {"s": {"pw": "x"}})
    made = launch(
        make_container(
            envFrom=[{"prefix": "P_", "configMapRef": {"name": "cm"}}],
            env=[
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "pw"}}},
                {
                    "name": "B",
                    "valueFrom": {"secretKeyRef": {"name": "t", "key": "k", "optional": True}},
                },
            ],
        ),
        values,
    )
    assert made.env["P_k"] == "v"
    assert made.env["A"] == "x"
    assert "B" not in made.env


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"name": "t", "key": "k"}, 'secret "t" not found'),
        ({"name": "s", "key": "k"}, "couldn't find key k in secret s"),
    ],
)
def test_a_missing_secret_is_an_error_that_names_it(
    reference: dict[str, str], message: str
) -> None:
    variable = {"name": "A", "valueFrom": {"secretKeyRef": reference}}
    with pytest.raises(spec.ConfigError, match=message):
        launch(make_container(env=[variable]), spec.Values({}, {"s": {}}))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1Gi", 2**30), ("512Mi", 2**29), ("1G", 10**9), ("1e3", 1000), (7, 7), ("1.5Ki", 1536)],
)
def test_quantities(text: str | int, value: int) -> None:
    assert spec.quantity(text) == value
    limits = {"limits": {"memory": text}}
    assert launch(make_container(resources=limits)).memory_limit == value


def test_a_quantity_that_is_none_is_an_error() -> None:
    with pytest.raises(spec.ConfigError, match="1Zi"):
        spec.quantity("1Zi")


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (make_pod(make_container(), initContainers=[{}]), "init containers"),
        (make_pod(make_container(), hostNetwork=True), "host network"),
        (make_pod(make_container(readinessProbe={"grpc": {"port": 1}})), "gRPC"),
        (
            make_pod(
                make_container(volumeMounts=[{"name": "v", "mountPath": "/data"}]),
                volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}],
            ),
            "volume 'v'",
        ),
    ],
)
def test_what_cannot_be_done_faithfully_is_refused(pod: dict[str, Any], why: str) -> None:
    assert why in (spec.unsupported(pod) or "")


def test_empty_dirs_and_the_service_accounts_token_are_no_obstacle() -> None:
    token = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
    mounts = [{"name": "t", "mountPath": "/tmp"}, {"name": "s", "mountPath": token}]  # noqa: S108
    volumes = [{"name": "t", "emptyDir": {}}, {"name": "s", "secret": {}}]
    pod = make_pod(make_container(volumeMounts=mounts), volumes=volumes)
    assert spec.unsupported(pod) is None
