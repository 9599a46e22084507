"""From a client's body to a clean object: right kind, known fields, right types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serinus.sandbox.apiserver import errors, patches, validation
from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.options import Write
from serinus.sandbox.apiserver.resources import Resource
from serinus.sandbox.apiserver.schema import clone
from serinus.sandbox.apiserver.store import Object


def decode(resource: Resource, body: Object, write: Write) -> Object:
    """Return a clean copy of the client's body: right kind, known fields, right types."""
    obj = clone(body)
    _check_kind(resource, obj)
    _drop_empty_metadata(obj)
    schema = schemas.schema_of(resource)
    label = f'{resource.kind} in version "{resource.version}" cannot be handled as a'
    if not isinstance(obj.setdefault("metadata", {}), dict):
        raise errors.bad_request(f"{label} {resource.kind}: metadata is not an object")
    checked = obj if not resource.custom else {"metadata": obj["metadata"]}
    _drop_nulls(checked)
    if why := validation.wrong_type(checked, schema):
        raise errors.bad_request(f"{label} {resource.kind}: {why}")
    unknown = schemas.prune(obj, schema)
    if unknown and write.field_validation == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise errors.bad_request(f"{label} {resource.kind}: strict decoding error: {listed}")
    if unknown and write.field_validation == "Warn":
        write.warnings += [f'unknown field "{path}"' for path in unknown]
    return obj


def _check_kind(resource: Resource, obj: Object) -> None:
    if not isinstance(obj, dict):
        raise errors.bad_request("the body of the request is not an object")
    if resource.custom and not obj.get("kind"):
        raise errors.bad_request("Object 'Kind' is missing in the body of the request")
    kind = obj.setdefault("kind", resource.kind)
    version = obj.setdefault("apiVersion", resource.api_version)
    if (kind, version) != (resource.kind, resource.api_version):
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind} in"
            f" {resource.api_version}, but is {kind} in {version})"
        )


def check_namespace(resource: Resource, namespace: str, metadata: Object) -> None:
    if not resource.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _drop_empty_metadata(obj: Object) -> None:
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        for name in ("labels", "annotations", "finalizers", "ownerReferences"):
            if metadata.get(name) in ({}, []):
                del metadata[name]


def _drop_nulls(value: Any) -> None:
    """A null is an absent field for typed objects."""
    if isinstance(value, dict):
        for name in [name for name, inner in value.items() if inner is None]:
            del value[name]
        for inner in value.values():
            _drop_nulls(inner)
    elif isinstance(value, list):
        for inner in value:
            _drop_nulls(inner)


def other_name(given: str, wanted: str) -> ApiError:
    return errors.bad_request(
        f"the name of the object ({given}) does not match the name on the URL ({wanted})"
    )


def json_change(media_type: str, resource: Resource) -> Callable[[Object, Any], Object]:
    """Return the function ``(object, document) -> object`` of a kind of patch.

    Raises:
        ApiError: 415 when this resource does not take that kind of patch.
    """
    match media_type:
        case "application/json-patch+json":
            return patches.json_patch
        case "application/merge-patch+json":
            return patches.merge_patch
        case "application/strategic-merge-patch+json" if not resource.custom:
            schema = schemas.schema_of(resource)
            return lambda live, document: patches.strategic_merge(live, document, schema)
    accepted = ["application/json-patch+json", "application/merge-patch+json"]
    if not resource.custom:
        accepted.append("application/strategic-merge-patch+json")
    raise errors.unsupported_media_type([*accepted, "application/apply-patch+yaml"])
