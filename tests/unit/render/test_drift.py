"""Whose change it is: ours, the API server's, people's who restart pods, or somebody else's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from serinus.api import names
from serinus.api.server import EnvVar, Resources
from serinus.api.status import Arm
from serinus.render.drift import mend_template, resized, retemplated
from serinus.render.meta import Owner
from serinus.render.stamp import stamped_template
from serinus.render.workload import make_workload

Edit = Callable[[dict[str, Any]], object]
ARM = Arm(
    revision="v1:0123456789abcdef",
    model_uri="models:/churn/2",
    image="server:1",
    resources=Resources(
        requests={"cpu": "1000m", "memory": "1024Mi"}, limits={"memory": "1Gi", "gpu": "0.5"}
    ),
    env=(EnvVar(name="OMP_NUM_THREADS", value=""),),
    warmup_requests=20,
    load_timeout=timedelta(minutes=5),
    latency_bounds=(),
    requested_weight=5,
)


def deployment() -> dict[str, Any]:
    """As an API server stores it: with defaults, quantities in its own spelling, no empty values."""
    live = copy.deepcopy(make_workload(Owner("churn", "ml", "uid-1"), ARM, 3, ""))
    pod = live["spec"]["template"]["spec"]
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default"}
    container = pod["containers"][0]
    container |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/log"}
    container["ports"][0]["protocol"] = "TCP"
    container["resources"]["requests"] = {"cpu": "1", "memory": "1Gi"}
    container["resources"]["limits"] = {"memory": "1Gi", "gpu": "500m"}
    del container["env"][0]["value"]
    live["spec"]["template"]["metadata"]["creationTimestamp"] = None
    return live


def container(live: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = live["spec"]["template"]["spec"]["containers"][0]
    return found


def pod(live: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = live["spec"]["template"]["spec"]
    return found


def restart(live: dict[str, Any]) -> None:
    annotations = live["spec"]["template"]["metadata"]["annotations"]
    annotations["kubectl.kubernetes.io/restartedAt"] = "2026-01-01T00:00:00Z"


def unstamp(live: dict[str, Any]) -> None:
    del live["metadata"]["annotations"]
    container(live)["image"] = "whatever:1"


FOREIGN: dict[str, Edit] = {
    "another image": lambda live: container(live).update(image="evil:1"),
    "a second container": lambda live: pod(live)["containers"].append({"name": "sidecar"}),
    "a container that runs before ours": lambda live: pod(live).update(initContainers=[{}]),
    "a variable more": lambda live: container(live)["env"].append({"name": "A", "value": "1"}),
    "a variable less": lambda live: container(live)["env"].pop(),
    "another value of a variable": lambda live: container(live)["env"][1].update(value="x"),
    "a volume more": lambda live: pod(live)["volumes"].append({"name": "v"}),
    "another command": lambda live: container(live).update(command=["sh"]),
    "variables from elsewhere": lambda live: container(live).update(envFrom=[{}]),
    "another account": lambda live: pod(live).update(serviceAccountName="admin"),
    "the node's network": lambda live: pod(live).update(hostNetwork=True),
    "more memory": lambda live: container(live)["resources"]["limits"].update(memory="2Gi"),
    "another resource": lambda live: container(live)["resources"]["limits"].update(cpu="1"),
    "a privilege": lambda live: container(live)["securityContext"].pop("allowPrivilegeEscalation"),
    "no labels": lambda live: live["spec"]["template"]["metadata"].pop("labels"),
}
OURS: dict[str, Edit] = {
    "defaults of the API server": lambda live: None,
    "restarted by kubectl": restart,
    "of an earlier release": unstamp,
    "annotated unreadably": lambda live: live["metadata"]["annotations"].update(
        {names.ANNOTATION_TEMPLATE: "{"}
    ),
    "annotated with no template": lambda live: live["metadata"]["annotations"].update(
        {names.ANNOTATION_TEMPLATE: '{"spec":{"containers":[]}}'}
    ),
    "host network said to be off": lambda live: pod(live).update(hostNetwork=False),
}


@pytest.mark.parametrize("edit", FOREIGN.values(), ids=FOREIGN)
def test_what_others_change_of_a_template_is_seen_and_taken_back(edit: Edit) -> None:
    live = deployment()
    edit(live)
    assert retemplated(live)
    wanted = stamped_template(live)
    assert wanted is not None
    live["spec"]["template"] = merged(
        live["spec"]["template"], mend_template(live["spec"]["template"], wanted)
    )
    assert not retemplated(live)


@pytest.mark.parametrize("edit", OURS.values(), ids=OURS)
def test_what_is_nobodys_change_of_a_template_is_none(edit: Edit) -> None:
    live = deployment()
    edit(live)
    assert not retemplated(live)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def test_another_size_than_the_one_we_gave_is_somebody_elses() -> None:
    live = deployment()
    assert not resized(live)
    live["spec"]["replicas"] = 5
    assert resized(live)
    del live["metadata"]["annotations"]
    assert not resized(live), "an earlier release did not say which size it gave"
