"""The Deployment of one revision.

A Deployment is rendered when its revision is admitted and never again: later passes only scale it,
or set right what others did to it, from the template that is written on it. So a new release of the
operator restarts no pod.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Any

from serinus.api import names
from serinus.api.server import RequestLimits
from serinus.api.status import Arm
from serinus.core.revision import short
from serinus.render.meta import Owner, make_metadata
from serinus.render.stamp import workload_stamp
from serinus_server import contract

DRAIN = timedelta(seconds=5)  # routers learn within this that the pod is going
REQUEST_TIMEOUT = timedelta(seconds=10)  # the server's default
MODEL_VOLUME = "model"
MODEL_PATH = "/tmp"  # noqa: S108  an emptyDir of the pod's own


def make_workload(
    owner: Owner, arm: Arm, replicas: int, tracking_uri: str, admitted: str = ""
) -> dict[str, Any]:
    """The Deployment that serves ``arm``, stamped with what it is made with.

    ``admitted`` is when the revision was taken in; empty: it is not written.
    """
    key = short(arm.revision)
    labels = names.revision_labels(owner.name, key)
    metadata = make_metadata(owner, names.child_name(owner.name, key), labels)
    template = make_template(owner, arm, tracking_uri)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "annotations": workload_stamp(template, replicas, admitted)},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }


def make_template(owner: Owner, arm: Arm, tracking_uri: str) -> dict[str, Any]:
    """The template of the revision's pods."""
    return {
        "metadata": {
            "labels": names.revision_labels(owner.name, short(arm.revision)),
            "annotations": {
                names.ANNOTATION_SCRAPE: "true",
                names.ANNOTATION_SCRAPE_PORT: str(contract.PORT),
                names.ANNOTATION_SCRAPE_PATH: contract.PATH_METRICS,
            },
        },
        "spec": make_pod_spec(owner, arm, tracking_uri),
    }


def make_pod_spec(owner: Owner, arm: Arm, tracking_uri: str) -> dict[str, Any]:
    """A pod that passes the restricted Pod Security standard."""
    timeout = arm.request_limits.timeout or REQUEST_TIMEOUT
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": ceil((DRAIN + timeout).total_seconds()) + 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "server",
                "image": arm.image,
                "ports": [{"name": contract.PORT_NAME, "containerPort": contract.PORT}],
                "env": make_env(owner, arm, tracking_uri),
                "resources": {
                    "requests": dict(arm.resources.requests),
                    "limits": dict(arm.resources.limits),
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": MODEL_VOLUME, "mountPath": MODEL_PATH}],
                **make_probes(arm),
            }
        ],
        "volumes": [{"name": MODEL_VOLUME, "emptyDir": {}}],
    }


def make_env(owner: Owner, arm: Arm, tracking_uri: str) -> list[dict[str, str]]:
    """The server's environment: the user's variables, then ours."""
    ours = {
        contract.ENV_MODEL_NAME: owner.name,
        contract.ENV_MODEL_URI: arm.model_uri,
        contract.ENV_MODEL_VERSION: arm.resolved_version,
        contract.ENV_MODEL_DIGEST: arm.digest,
        contract.ENV_REVISION: short(arm.revision),
        contract.ENV_LATENCY_BOUNDS: ",".join(arm.latency_bounds),
        contract.ENV_WARMUP_REQUESTS: str(arm.warmup_requests),
        contract.ENV_LOAD_TIMEOUT: f"{arm.load_timeout.total_seconds():g}",
        contract.ENV_DRAIN_SECONDS: f"{DRAIN.total_seconds():g}",
        **_limits_env(arm.request_limits),
        contract.ENV_TRACKING_URI: tracking_uri,
    }
    pairs = [(env.name, env.value) for env in arm.env]
    pairs += [(name, value) for name, value in ours.items() if value]
    return [{"name": name, "value": value} for name, value in pairs]


def _limits_env(limits: RequestLimits) -> dict[str, str]:
    """Only what the user said: the rest is the server's own default."""
    seconds = f"{limits.timeout.total_seconds():g}" if limits.timeout else ""
    numbers = {
        contract.ENV_MAX_REQUEST_BYTES: limits.max_bytes,
        contract.ENV_MAX_CONCURRENCY: limits.max_concurrent,
        contract.ENV_MAX_BATCH_ROWS: limits.max_batch_rows,
    }
    return {
        contract.ENV_REQUEST_TIMEOUT: seconds,
        **{name: "" if number is None else str(number) for name, number in numbers.items()},
    }


def make_probes(arm: Arm) -> dict[str, Any]:
    """Start-up may take as long as the model may load; liveness never depends on the model."""
    ready = {"path": contract.PATH_READY, "port": contract.PORT_NAME}
    live = {"path": contract.PATH_LIVE, "port": contract.PORT_NAME}
    return {
        "startupProbe": {
            "httpGet": ready,
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": ceil(arm.load_timeout.total_seconds()) + 10,
        },
        "readinessProbe": {
            "httpGet": ready,
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": live,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }
