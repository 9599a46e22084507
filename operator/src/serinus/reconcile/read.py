"""What people and we ourselves wrote into a ModelDeployment, validated: unreadable is a value too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from serinus.api import names
from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import ModelDeploymentStatus
from serinus.core.observed import Commands, Invalid

MAX_COMMAND = 100  # characters; a whole revision has 67


def read_spec(spec: Any) -> ModelDeploymentSpec | Invalid:
    """The spec, or what is wrong with it, field by field."""
    try:
        return ModelDeploymentSpec.model_validate(spec or {})
    except ValidationError as e:
        return Invalid(explain("spec", e))


def read_status(status: Any) -> ModelDeploymentStatus | Invalid:
    """The state of the rollout, or why it cannot be read."""
    try:
        return ModelDeploymentStatus.model_validate(status or {})
    except ValidationError as e:
        return Invalid(explain("status", e))


def read_commands(metadata: Mapping[str, Any]) -> Commands:
    """What people ask for by annotation. A value that can be no revision's name asks for nothing."""
    annotations = metadata.get("annotations") or {}

    def asked(name: str) -> str:
        value = annotations.get(name)
        text = value.strip() if isinstance(value, str) else ""
        return text if len(text) <= MAX_COMMAND else ""

    return Commands(
        abort=asked(names.ANNOTATION_ABORT),
        promote=asked(names.ANNOTATION_PROMOTE),
        pause=asked(names.ANNOTATION_PAUSE),
    )


def explain(root: str, error: ValidationError) -> str:
    """A validation error as Kubernetes prints it: path, then what is wrong."""
    parts = []
    for item in error.errors(include_url=False, include_context=False)[:5]:
        path = root + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"])
        parts.append(f"{path}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)
