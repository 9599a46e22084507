"""Which pods answer for a Service."""

from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.controllers import endpoints


def make_service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    return {
        "metadata": {"name": "web", "namespace": "ml", "uid": "s", "labels": {"team": "a"}},
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


def make_pod(
    name: str = "a",
    *,
    ready: bool = True,
    deleting: bool = False,
    ip: str = "127.70.1.10",
    phase: str = "Running",
    port: int = 8080,
) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "namespace": "ml", "uid": name, "labels": {"app": "web"}}
    if deleting:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    container = {"ports": [{"name": "web", "containerPort": port}]}
    return {
        "metadata": meta,
        "spec": {"nodeName": "n", "containers": [container]},
        "status": {
            "phase": phase,
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


@pytest.mark.parametrize(
    ("pod", "ready", "serving", "terminating"),
    [
        (make_pod(), True, True, False),
        (make_pod(ready=False), False, False, False),
        (make_pod(deleting=True), False, True, True),
        (make_pod(ready=False, deleting=True), False, False, True),
    ],
    ids=["ready", "not ready", "leaving but serving", "leaving"],
)
def test_conditions_of_an_endpoint(
    pod: dict[str, Any], ready: bool, serving: bool, terminating: bool
) -> None:
    (part,) = endpoints.slices(make_service(), [pod])
    (endpoint,) = part["endpoints"]
    assert endpoint["conditions"] == {
        "ready": ready,
        "serving": serving,
        "terminating": terminating,
    }
    assert endpoint["targetRef"]["name"] == "a"


def test_a_named_port_is_looked_up_in_each_pod() -> None:
    pods = [make_pod("a", ip="127.70.1.10"), make_pod("b", ip="127.70.1.11", port=9090)]
    parts = endpoints.slices(make_service(), pods)
    found = {part["ports"][0]["port"]: part["endpoints"][0]["addresses"] for part in parts}
    assert found == {8080: ["127.70.1.10"], 9090: ["127.70.1.11"]}
    assert len({part["metadata"]["name"] for part in parts}) == 2


def test_pods_without_address_or_that_are_finished_are_left_out() -> None:
    (part,) = endpoints.slices(make_service(), [make_pod(ip=""), make_pod(phase="Succeeded")])
    assert part["endpoints"] == []


def test_not_ready_addresses_are_published_where_the_service_says_so() -> None:
    service = make_service(publishNotReadyAddresses=True)
    (part,) = endpoints.slices(service, [make_pod(ready=False)])
    assert part["endpoints"][0]["conditions"]["ready"] is True


def test_slices_carry_the_labels_of_their_service_and_belong_to_it() -> None:
    (part,) = endpoints.slices(make_service(), [make_pod()])
    assert part["metadata"]["labels"]["team"] == "a"
    assert part["metadata"]["labels"][endpoints.SERVICE_NAME] == "web"
    assert part["metadata"]["ownerReferences"][0]["uid"] == "s"


def test_a_service_selects_by_all_labels_in_its_own_namespace() -> None:
    pod = make_pod()
    assert endpoints.selects(make_service(), pod)
    assert not endpoints.selects(make_service(selector={"app": "web", "tier": "x"}), pod)
    assert not endpoints.selects(make_service(selector=None), pod)
    pod["metadata"]["namespace"] = "other"
    assert not endpoints.selects(make_service(), pod)
