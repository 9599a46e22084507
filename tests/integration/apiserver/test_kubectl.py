"""kubectl cannot tell the sandbox from a cluster."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import Server
from .connection import Connection
from .scripts import deployment, widget


def _minor() -> int:
    """The minor version of the kubectl at hand: 20 is Debian 12's, newer ones send other things."""
    if shutil.which("kubectl") is None:
        return 0
    told = subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    )
    return int(json.loads(told.stdout)["clientVersion"]["minor"].rstrip("+"))


MINOR = _minor()
recent = pytest.mark.skipif(MINOR < 27, reason="kubectl is too old to have or to send this")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH"),
]

Kubectl = Callable[..., str]


@pytest.fixture
def namespace(connection: Connection) -> Iterator[str]:
    name = f"kubectl-{secrets.token_hex(4)}"
    assert connection.post("/api/v1/namespaces", {"metadata": {"name": name}}).code == 201
    yield name
    connection.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def kubectl(server: Server, namespace: str, tmp_path: Path) -> Kubectl:
    def run(*arguments: str, stdin: object = None, fails: bool = False) -> str:
        environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "HOME": str(tmp_path)}
        done = subprocess.run(
            ["kubectl", "-n", namespace, *arguments],
            input=json.dumps(stdin) if stdin is not None else None,
            env=environment, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_client_side_apply_is_idempotent_and_removes_what_was_dropped(kubectl: Kubectl) -> None:
    body = deployment()
    environment = body["spec"]["template"]["spec"]["containers"][0]["env"]
    environment.append({"name": "B", "value": "2"})
    assert "created" in kubectl("apply", "-f", "-", stdin=body)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=body)
    environment.pop(0)
    assert "configured" in kubectl("apply", "-f", "-", stdin=body)
    shown = kubectl(
        "get", "deploy", "one", "-o", "jsonpath={.spec.template.spec.containers[0].env}"
    )
    assert json.loads(shown) == [{"name": "B", "value": "2"}]
    if MINOR >= 27:  # older ones look for dry-run in an OpenAPI document of v2
        assert kubectl("diff", "-f", "-", stdin=body) == ""


def test_server_side_apply_shows_conflicts_and_can_be_forced(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", "-", stdin=widget())
    command = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    refused = kubectl(*command, stdin=widget(size=9), fails=True)
    assert 'conflict with "kubectl": .spec.size' in refused
    assert "serverside-applied" in kubectl(*command, "--force-conflicts", stdin=widget(size=9))


@recent
def test_moving_to_server_side_apply_takes_over_the_fields(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=widget(steps=[{"weight": 1}]))
    kubectl("apply", "--server-side", "-f", "-", stdin=widget())
    shown = yaml.safe_load(kubectl("get", "wd", "one", "-o", "yaml", "--show-managed-fields"))
    assert "steps" not in shown["spec"]
    managers = {entry["manager"] for entry in shown["metadata"]["managedFields"]}
    assert managers == {"kubectl", "kubectl-last-applied"}


def test_tables_show_columns_of_custom_and_builtin_kinds(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=widget(color="Green"))
    kubectl("create", "-f", "-", stdin=deployment())
    assert kubectl("get", "wd").split()[:4] == ["NAME", "SIZE", "READY", "AGE"]
    assert "Green" in kubectl("get", "wd", "-o", "wide")
    both = kubectl("get", "widgets,deployments")
    assert "widget.test.serinus.dev/one" in both
    assert "deployment.apps/one   0/2" in both
    everything = kubectl("get", "all")
    assert "widget.test.serinus.dev/one" in everything
    assert "deployment.apps/one" in everything
    assert kubectl("get", "wd", "one", "-o", "name").strip() == "widget.test.serinus.dev/one"


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (("scale", "wd/one", "--replicas=3"), "scaled"),
        (("label", "wd", "one", "a=b"), "labeled"),
        (("annotate", "wd", "one", "a=b"), "annotated"),
        (("patch", "wd", "one", "--type=json", "-p",
          '[{"op":"replace","path":"/spec/size","value":4}]'), "patched"),
        pytest.param(
            ("patch", "wd", "one", "--type=merge", "--subresource=status", "-p", '{"status":{"phase":"Fine"}}'),
            "patched", marks=recent,
        ),
        (("describe", "wd", "one"), "Creation Timestamp"),
        pytest.param(
            ("wait", "wd/one", "--for=jsonpath={.spec.size}=3", "--timeout=5s"), "condition met", marks=recent,
        ),
        (("delete", "wd", "one"), "deleted"),
        (("delete", "wd", "--all"), "deleted"),
        pytest.param(("explain", "widget.spec.size"), "How large it is.", marks=recent),
        pytest.param(("explain", "deployment.spec.strategy"), "rollingUpdate", marks=recent),
        (("api-resources",), "widgets"),
        (("run", "p", "--image=i"), "created"),
        (("get", "events"), "No resources"),
        (("version",), "Server Version"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_commands(kubectl: Kubectl, arguments: tuple[str, ...], want: str) -> None:
    kubectl("create", "-f", "-", stdin=widget())
    assert want in kubectl(*arguments)


@recent
@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "configmap", "c", "--from-literal=a=b"),
        ("create", "token", "default"),
        ("auth", "can-i", "create", "pods"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_commands_that_send_protobuf_are_told_what_to_use(
    kubectl: Kubectl, arguments: tuple[str, ...]
) -> None:
    refused = kubectl(*arguments, fails=True)
    assert "takes JSON and YAML" in refused
    assert "use kubectl apply" in refused


def test_what_create_would_send_can_be_applied(kubectl: Kubectl) -> None:
    body = kubectl(
        "create", "configmap", "c", "--from-literal=a=b", "--dry-run=client", "-o", "json"
    )
    assert "created" in kubectl("apply", "-f", "-", stdin=json.loads(body))
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}") == "b"


def test_a_watch_prints_rows_as_they_change(
    kubectl: Kubectl, server: Server, namespace: str, tmp_path: Path
) -> None:
    kubectl("create", "-f", "-", stdin=widget())
    environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "HOME": str(tmp_path)}
    command = ["kubectl", "-n", namespace, "get", "wd", "--watch"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().split() == ["NAME", "SIZE", "READY", "AGE"]
            assert process.stdout.readline().split()[:2] == ["one", "3"]
            kubectl("patch", "wd", "one", "--type=merge", "-p", '{"spec":{"size":4}}')
            assert process.stdout.readline().split()[:2] == ["one", "4"]
        finally:
            process.terminate()


def test_mistakes_are_refused_with_the_fields_path(kubectl: Kubectl) -> None:
    # Old ones do not ask for strict validation: the server warns, and prunes the field.
    unknown = kubectl("apply", "-f", "-", stdin=widget(nothing=1), fails=MINOR >= 27)
    assert 'unknown field "spec.nothing"' in unknown
    wrong = kubectl("apply", "-f", "-", stdin=widget(steps=[{"weight": 120}]), fails=True)
    assert (
        "spec.steps[0].weight: Invalid value: 120: spec.steps[0].weight in body should be less"
        " than or equal to 100"
    ) in wrong
    missing = kubectl("get", "wd", "none", fails=True)
    assert 'widgets.test.serinus.dev "none" not found' in missing


def test_an_edit_is_a_patch(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_EDITOR", "sed -i s/size:.3/size:\\ 42/")
    kubectl("create", "-f", "-", stdin=widget())
    assert "edited" in kubectl("edit", "wd", "one")
    assert kubectl("get", "wd", "one", "-o", "jsonpath={.spec.size}") == "42"


def test_impersonation_is_judged_as_the_other_user(kubectl: Kubectl) -> None:
    refused = kubectl("get", "wd", "--as=somebody", fails=True)
    assert 'User "somebody" cannot list resource "widgets"' in refused
