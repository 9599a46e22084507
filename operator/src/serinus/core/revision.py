"""What a revision is: the identity of what the user wrote and what it resolved to.

The identity never covers rendered objects or defaults of the operator, so that an operator upgrade
starts no rollout (`docs/concepts.md`, Revisions).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from serinus.api.spec import MetricKind, ModelDeploymentSpec
from serinus.api.status import Arm, PinnedModel
from serinus.api.types import format_duration

SCHEME = "v1"
SHORT_LENGTH = 8


def identity(spec: ModelDeploymentSpec, model: PinnedModel) -> dict[str, Any]:
    """The canonical content of a revision: model bytes and everything under ``server`` but replicas."""
    server = spec.server
    limits = server.request_limits.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "model": {"name": model.name, "version": model.version, "digest": model.digest},
        "image": server.image or "",
        "resources": {
            "requests": dict(server.resources.requests),
            "limits": dict(server.resources.limits),
        },
        "env": {env.name: env.value for env in server.env},
        "warmup": {"requests": server.warmup.requests},
        "loadTimeout": format_duration(server.load_timeout),
        # Absent where nothing is said: revisions from before this field keep their names.
        **({"requestLimits": limits} if limits else {}),
    }


def revision_of(spec: ModelDeploymentSpec, model: PinnedModel) -> str:
    """``v1:`` and the sha256, in hex, of the canonical JSON of :func:`identity`.

    Canonical: UTF-8, keys sorted, no white space, nothing escaped that need not be.
    """
    text = json.dumps(
        identity(spec, model), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return f"{SCHEME}:{hashlib.sha256(text.encode()).hexdigest()}"


def short(revision: str) -> str:
    """The part of a revision that names objects and labels series: 8 hex characters."""
    return revision.partition(":")[2][:SHORT_LENGTH]


def named(value: str, revision: str) -> bool:
    """Whether people mean this revision by ``value``: the whole of it, or its short form."""
    return value in {revision, short(revision)}


def new_arm(spec: ModelDeploymentSpec, model: PinnedModel, default_image: str) -> Arm:
    """A revision as it is admitted: everything its pods need is pinned from here on."""
    return Arm(
        revision=revision_of(spec, model),
        model_uri=model.pinned_uri,
        resolved_version=model.version,
        digest=model.digest,
        image=spec.server.image or default_image,
        resources=spec.server.resources,
        env=tuple(spec.server.env),
        warmup_requests=spec.server.warmup.requests,
        load_timeout=spec.server.load_timeout,
        request_limits=spec.server.request_limits,
        latency_bounds=latency_bounds(spec),
        requested_weight=0,
        observed_weight=0,
    )


def latency_bounds(spec: ModelDeploymentSpec) -> tuple[str, ...]:
    """Seconds of every latency bound: the server makes them bounds of its histogram's buckets."""
    bounds = {
        metric.max_duration.total_seconds()
        for metric in spec.analysis.metrics
        if metric.type is MetricKind.LATENCY
    }
    return tuple(repr(bound) for bound in sorted(bounds))


def describe(arm: Arm) -> str:
    """How messages call a revision: by the registry's version where there is one."""
    if arm.resolved_version:
        return f"version {arm.resolved_version}"
    return f"revision {short(arm.revision)}"
