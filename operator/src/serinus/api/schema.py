"""The CustomResourceDefinition, from the pydantic models.

An API server takes *structural* schemas only: no ``$ref``, no ``anyOf`` with null, no titles. This
module turns pydantic's JSON schema into one and wraps it in the CRD's envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from serinus.api import names
from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import ModelDeploymentStatus
from serinus.api.types import format_duration

_DROPPED = {"title", "discriminator", "const", "$defs", "propertyNames"}


class _Generator(GenerateJsonSchema):
    """Writes defaults as a user would write them."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, BaseModel):
            return {}  # the API server fills in the defaults of the fields inside
        if isinstance(dft, tuple):
            return [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in dft]
        return super().encode_default(dft)


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """The structural OpenAPI v3 schema of ``model``, by alias, with its defaults."""
    schema = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    return _convert(schema, schema.get("$defs", {}))


def _convert(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    node = _resolve(node, defs)
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key in _DROPPED or (key == "default" and value in (None, "")):
            continue
        if key == "properties":
            out[key] = {name: _convert(child, defs) for name, child in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, Mapping):
            out[key] = _convert(value, defs)
        else:
            out[key] = value
    return out


def _resolve(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """``node`` with its reference or its only non-null variant merged into it."""
    if "$ref" in node:
        rest = {k: v for k, v in node.items() if k != "$ref"}
        return _resolve({**defs[node["$ref"].rsplit("/", 1)[1]], **rest}, defs)
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        variants = [v for v in node["anyOf"] if v.get("type") != "null"]
        if len(variants) != 1:
            raise TypeError(f"a structural schema has one type, not {variants}")
        rest = {k: v for k, v in node.items() if k != "anyOf"}
        return _resolve({**variants[0], **rest}, defs)
    return node


PRINTER_COLUMNS: tuple[dict[str, Any], ...] = (
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {
        "name": "Stable",
        "type": "string",
        "jsonPath": ".status.summary.stable",
        "description": "Model version that serves.",
    },
    {
        "name": "Canary",
        "type": "string",
        "jsonPath": ".status.summary.canary",
        "description": "Model version that is on trial.",
    },
    {
        "name": "Weight",
        "type": "string",
        "jsonPath": ".status.summary.weight",
        "description": "Percent of the traffic that the canary gets.",
    },
    {"name": "Ready", "type": "string", "jsonPath": ".status.summary.ready"},
    {"name": "Step", "type": "string", "jsonPath": ".status.summary.step", "priority": 1},
    {"name": "Verdict", "type": "string", "jsonPath": ".status.summary.verdict", "priority": 1},
    {"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)


def custom_resource_definition() -> dict[str, Any]:
    """The CRD of ModelDeployment, as ``crds/`` ships it."""
    spec = structural(ModelDeploymentSpec)
    status = structural(ModelDeploymentStatus)
    _strip_defaults(status)
    root = {
        "type": "object",
        "description": "ModelDeployment serves a machine-learning model and replaces it with care.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        "x-kubernetes-validations": [
            {
                "rule": f"size(self.metadata.name) <= {names.MAX_NAME_LENGTH} && "
                f"self.metadata.name.matches('{names.NAME_PATTERN}')",
                "message": names.NAME_RULE,
            }
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": list(names.SHORT_NAMES),
                "categories": list(names.CATEGORIES),
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.server.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": list(PRINTER_COLUMNS),
                }
            ],
        },
    }


def _strip_defaults(node: Any) -> None:
    """A status has no defaults: the operator writes it whole."""
    if isinstance(node, dict):
        node.pop("default", None)
        for value in node.values():
            _strip_defaults(value)
    elif isinstance(node, list):
        for value in node:
            _strip_defaults(value)
