"""The server as a program and over the wire: watches, access, lifecycles, clean stop."""

from __future__ import annotations

import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serinus.sandbox.apiserver.options import Write

from .conftest import CRDS, Server
from .connection import JSON_PATCH, Connection
from .scripts import config_map, deployment, widget

pytestmark = pytest.mark.cluster

WIDGETS = "/apis/test.serinus.dev/v1"


@pytest.fixture
def namespace(connection: Connection) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    assert connection.post("/api/v1/namespaces", {"metadata": {"name": name}}).code == 201
    yield name
    connection.delete(f"/api/v1/namespaces/{name}")


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"


def test_events_arrive_at_once(connection: Connection, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    start = connection.get(maps).body["metadata"]["resourceVersion"]
    arrived: list[float] = []

    def follow() -> None:
        for event in connection.watch(maps, seconds=10, resourceVersion=start):
            assert event["type"] == "ADDED"
            arrived.append(time.monotonic())
            return

    follower = threading.Thread(target=follow)
    follower.start()
    connection.post(maps, config_map())
    sent = time.monotonic()
    follower.join(10)
    assert arrived
    assert arrived[0] - sent < 0.5


def test_a_watch_from_before_the_compaction_is_told_to_list_again(
    server: Server, connection: Connection, namespace: str
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    old = connection.get(maps).body["metadata"]["resourceVersion"]
    connection.post(maps, config_map())
    server.run(server.running.api.store.compact)
    (event,) = connection.watch(maps, resourceVersion=old)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    now = connection.get(maps).body["metadata"]["resourceVersion"]
    assert list(connection.watch(maps, seconds=1, resourceVersion=now)) == []


def test_a_watch_without_a_version_begins_with_what_is_there(
    connection: Connection, namespace: str
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    connection.post(maps, config_map("a"))
    events = list(connection.watch(maps, seconds=1))
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", "a")]


def test_a_streaming_list_is_refused_so_that_clients_fall_back(
    connection: Connection, namespace: str
) -> None:
    answer = connection.get(
        f"/api/v1/namespaces/{namespace}/pods", watch="true", sendInitialEvents="true"
    )
    assert (answer.code, answer.body["reason"]) == (422, "Invalid")


def test_a_client_may_ask_for_metadata_only(connection: Connection, namespace: str) -> None:
    widgets = f"{WIDGETS}/namespaces/{namespace}/widgets"
    connection.post(widgets, widget())
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    found = connection.request("GET", widgets, headers=accept).body
    assert found["kind"] == "PartialObjectMetadataList"
    assert [set(item) for item in found["items"]] == [{"kind", "apiVersion", "metadata"}]


def test_a_client_without_a_token_sees_only_health(connection: Connection) -> None:
    anonymous = connection.with_token(None)
    assert anonymous.get("/healthz").body == "ok"
    refused = anonymous.get("/api/v1/namespaces")
    assert refused.code == 403
    assert 'User "system:anonymous" cannot list resource "namespaces"' in refused.body["message"]


def test_an_unknown_token_is_unauthorized(connection: Connection) -> None:
    assert connection.with_token("wrong").get("/api").code == 401


def test_rbac_objects_decide_what_a_user_may_do(connection: Connection, namespace: str) -> None:
    limited = connection.with_token("limited-token")
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    assert limited.get("/apis").code == 200
    assert limited.get(maps).code == 403
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "patch"]}]
    connection.post(f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}
    bound = {"metadata": {"name": "r"}, "roleRef": reference, "subjects": [subject]}
    assert connection.post(f"{rbac}/rolebindings", bound).code == 201
    assert limited.get(maps).code == 200
    assert limited.get(f"{maps}/one").code == 403
    applied = limited.apply(f"{maps}/one", config_map())
    assert applied.code == 403, "creating by apply needs the right to create"


def test_an_object_over_the_limit_is_refused(connection: Connection, namespace: str) -> None:
    huge = config_map(a="x" * (3 * 1024 * 1024))
    answer = connection.post(f"/api/v1/namespaces/{namespace}/configmaps", huge)
    assert (answer.code, answer.body["reason"]) == (413, "RequestEntityTooLarge")


def test_strict_validation_names_every_unknown_field(
    connection: Connection, namespace: str
) -> None:
    widgets = f"{WIDGETS}/namespaces/{namespace}/widgets"
    body = widget(junk=1, steps=[{"weight": 1, "more": 1}])
    refused = connection.post(widgets, body, fieldValidation="Strict")
    assert refused.code == 400
    assert refused.body["message"] == (
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '
        'unknown field "spec.junk", unknown field "spec.steps[0].more"'
    )
    warned = connection.post(widgets, body)
    assert warned.code == 201
    assert "unknown field" in warned.headers["Warning"]
    pods = deployment()
    pods["spec"]["template"]["spec"]["container"] = []
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    refused = connection.post(path, pods, fieldValidation="Strict")
    assert 'unknown field "spec.template.spec.container"' in refused.body["message"]


def test_a_custom_resource_is_served_as_long_as_its_definition(connection: Connection) -> None:
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names = {"plural": "things", "kind": "Thing"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    crd = {
        "metadata": {"name": "things.once.dev"},
        "spec": {"group": "once.dev", "names": names, "scope": "Cluster", "versions": [version]},
    }
    assert connection.get("/apis/once.dev/v1/things").code == 404
    assert connection.post(definitions, crd).code == 201
    held = {"apiVersion": "once.dev/v1", "kind": "Thing",
            "metadata": {"name": "one", "finalizers": ["once.dev/hold"]}}  # fmt: skip
    assert connection.post("/apis/once.dev/v1/things", held).code == 201
    one = f"{definitions}/things.once.dev"
    conditions = connection.get(one).body["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert connection.delete(one).code == 200
    assert "deletionTimestamp" in connection.get(one).body["metadata"], "an instance is still held"
    connection.patch("/apis/once.dev/v1/things/one", {"metadata": {"finalizers": None}})
    until(lambda: connection.get(one).code == 404)
    assert connection.get("/apis/once.dev/v1/things").code == 404


def test_a_definition_whose_name_does_not_fit_is_invalid(connection: Connection) -> None:
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    answer = connection.post(definitions, {"metadata": {"name": "x"}, "spec": {"group": "g"}})
    fields = {cause["field"] for cause in answer.body["details"]["causes"]}
    assert answer.code == 422
    assert {"metadata.name", "spec.versions", "spec.scope", "spec.names.kind"} <= fields


def test_a_deleted_namespace_goes_when_it_is_empty(connection: Connection) -> None:
    path = "/api/v1/namespaces/going"
    connection.post("/api/v1/namespaces", {"metadata": {"name": "going"}})
    held = config_map()
    held["metadata"]["finalizers"] = ["a.b/hold"]
    connection.post(f"{path}/configmaps", held)
    connection.post(f"{path}/configmaps", config_map("free"))
    deleted = connection.delete(path)
    assert deleted.body["status"]["phase"] == "Terminating"
    until(lambda: connection.get(f"{path}/configmaps/free").code == 404)
    refused = connection.post(f"{path}/configmaps", config_map("late"))
    assert refused.code == 403
    assert refused.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    remove = [{"op": "remove", "path": "/metadata/finalizers"}]
    connection.patch(f"{path}/configmaps/one", remove, JSON_PATCH)
    until(lambda: connection.get(path).code == 404)


def test_a_pods_log_is_read_from_the_file_that_the_node_names(
    connection: Connection, namespace: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    pod: dict[str, Any] = {
        "metadata": {"name": "p", "annotations": {"sandbox.serinus.dev/log-file": str(log)}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    connection.post(pods, pod)
    assert connection.get(f"{pods}/p/log").body == "one\ntwo\nthree\n"
    assert connection.get(f"{pods}/p/log", tailLines=1).body == "three\n"
    assert connection.get(f"{pods}/p/log", previous="true").code == 400
    assert connection.get(f"{pods}/p/log", container="x").code == 400
    followed: list[str] = []
    reader = threading.Thread(
        target=lambda: followed.append(connection.get(f"{pods}/p/log", follow="true").body)
    )
    reader.start()
    with log.open("a") as file:
        file.write("four\n")
    connection.patch(f"{pods}/p/status", {"status": {"phase": "Succeeded"}})
    reader.join(10)
    assert followed == ["one\ntwo\nthree\nfour\n"]


def test_both_groups_show_the_same_events(connection: Connection, namespace: str) -> None:
    about = {"kind": "Widget", "namespace": namespace, "name": "one", "uid": "u"}
    new = {"metadata": {"name": "new"}, "regarding": about, "note": "hello", "reason": "R",
           "type": "Normal", "action": "A", "reportingController": "c",
           "eventTime": "2020-01-01T00:00:00.000000Z"}  # fmt: skip
    path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    assert connection.post(path, new).code == 201
    core = f"/api/v1/namespaces/{namespace}/events"
    found = connection.get(core, fieldSelector="involvedObject.uid=u").body["items"]
    assert [event["message"] for event in found] == ["hello"]
    old = {"metadata": {"name": "old"}, "involvedObject": about, "message": "hi"}
    assert connection.post(core, old).code == 201
    assert connection.get(f"{path}/old").body["note"] == "hi"


def test_a_service_accounts_token_is_that_service_account(
    connection: Connection, namespace: str
) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    connection.post(accounts, {"metadata": {"name": "operator"}})
    token = connection.post(f"{accounts}/operator/token", {"spec": {}}).body["status"]["token"]
    review = connection.with_token(token).post(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"spec": {}}
    )
    name = f"system:serviceaccount:{namespace}:operator"
    assert review.body["status"]["userInfo"]["username"] == name
    assert connection.post(f"{accounts}/nobody/token", {"spec": {}}).code == 404


def test_a_protobuf_body_is_refused_with_what_to_use_instead(
    connection: Connection, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    answer = connection.request("POST", path, b"k8s\x00", headers=headers)
    assert (answer.code, answer.body["reason"]) == (415, "UnsupportedMediaType")
    assert "use kubectl apply" in answer.body["message"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("pods/p/exec", 501), ("pods/p/eviction", 501), ("pods/p/nothing", 404), ("pods/p", 405)],
)
def test_what_is_not_implemented_is_a_clear_error(
    connection: Connection, namespace: str, path: str, code: int
) -> None:
    answer = connection.post(f"/api/v1/namespaces/{namespace}/{path}", {})
    assert (answer.code, answer.body["kind"], answer.body["code"]) == (code, "Status", code)


def test_a_list_of_500_objects_takes_less_than_50_ms(
    server: Server, connection: Connection, namespace: str
) -> None:
    widgets = f"{WIDGETS}/namespaces/{namespace}/widgets"
    api = server.running.api
    resource = api.registry.get("test.serinus.dev", "v1", "widgets")
    assert resource is not None

    def fill() -> None:
        for number in range(500):
            api.verbs.create(resource, namespace, widget(f"w{number}"), Write())

    server.run(fill)
    durations = []
    for _ in range(5):
        start = time.monotonic()
        assert len(connection.get(widgets).body["items"]) == 500
        durations.append(time.monotonic() - start)
    assert min(durations) < 0.05


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    kubeconfig = tmp_path / "kubeconfig"
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"t": {"user": "u", "groups": ["system:masters"]}}))
    command = [sys.executable, "-m", "serinus.sandbox.apiserver", "--kubeconfig", str(kubeconfig),
               "--crds", str(CRDS), "--tokens", str(tokens)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        until(kubeconfig.exists, 20)
        yield process, kubeconfig
    finally:
        process.kill()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


def test_the_program_serves_and_stops_cleanly_with_an_open_watch(
    program: tuple[subprocess.Popen[str], Path],
) -> None:
    process, kubeconfig = program
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    connection = Connection(kubeconfig)
    assert connection.with_token("t").get(f"{WIDGETS}/widgets").code == 200
    events: list[Any] = []
    watcher = threading.Thread(
        target=lambda: events.extend(connection.watch("/api/v1/namespaces", seconds=60))
    )
    watcher.start()
    until(lambda: connection.get("/healthz").code == 200)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    watcher.join(5)
    assert not watcher.is_alive()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_a_missing_folder_of_definitions_is_said_plainly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serinus.sandbox.apiserver", "--kubeconfig",
               str(tmp_path / "k"), "--crds", str(tmp_path / "none")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "is not a folder" in done.stderr
    assert "Traceback" not in done.stderr
