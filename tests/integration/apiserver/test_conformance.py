"""The sandbox answers as a real kube-apiserver does.

``recorded.json`` holds the answers of Kubernetes 1.20. To compare a real server with it, name its
kubeconfig in SERINUS_TEST_KUBECONFIG; with SERINUS_TEST_RECORD=1 too, the file is written anew.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .connection import Connection
from .scripts import SCRIPTS, Recorder

RECORDED = Path(__file__).with_name("recorded.json")
REAL = os.environ.get("SERINUS_TEST_KUBECONFIG")


def run(name: str, connection: Connection) -> list[dict[str, Any]]:
    namespace = f"conformance-{secrets.token_hex(4)}"
    metadata = {"name": namespace}
    created = connection.post("/api/v1/namespaces", {"metadata": metadata})
    assert created.code == 201, created.body
    account = {"metadata": {"name": "default"}}  # what a controller does in whole clusters
    connection.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    recorder = Recorder(connection, namespace)
    try:
        SCRIPTS[name](recorder)
    finally:
        connection.delete(f"/api/v1/namespaces/{namespace}")
    plain: list[dict[str, Any]] = json.loads(json.dumps(recorder.outcomes))
    return plain


@pytest.mark.cluster
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_sandbox_answers_as_recorded(name: str, connection: Connection) -> None:
    assert run(name, connection) == json.loads(RECORDED.read_text())[name]


@pytest.fixture(scope="session")
def real() -> Iterator[Connection]:
    assert REAL is not None
    connection = Connection(Path(REAL))
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for file in sorted(Path(__file__).with_name("crds").glob("*.yaml")):
        connection.post(path, yaml.safe_load(file.read_text()))
    deadline = time.monotonic() + 30
    for plural in ("gadgets", "widgets"):
        while connection.get(f"/apis/test.serinus.dev/v1/{plural}").code != 200:
            assert time.monotonic() < deadline, "the test's CRD is not served"
    yield connection
    for plural in ("gadgets", "widgets"):
        connection.delete(f"{path}/{plural}.test.serinus.dev")


@pytest.mark.kubernetes
@pytest.mark.skipif(not REAL, reason="SERINUS_TEST_KUBECONFIG names no cluster")
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_real_server_answers_as_recorded(name: str, real: Connection) -> None:
    answers = run(name, real)
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if os.environ.get("SERINUS_TEST_RECORD"):
        recorded[name] = answers
        text = json.dumps(recorded, indent=1, sort_keys=True)
        RECORDED.write_text(text + "\n")
    assert answers == recorded[name]
