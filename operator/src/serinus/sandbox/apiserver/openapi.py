"""OpenAPI documents: what ``kubectl explain`` reads, and how kubectl learns who validates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.resources import Registry, Resource

_REF = "#/components/schemas/"
# A gnostic openapi.v2.Document: swagger "2.0", info {title, version}, no paths, no definitions.
# kubectl before 1.25 asks for it and then trusts the server with every type it does not find.
_EMPTY_V2_PROTO = b"\n\x032.0\x12\x15\n\nKubernetes\x12\x07v1.32.0B\x00"
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string"}}
    for name in ("dryRun", "fieldManager", "fieldValidation")
]
_FORCE = {"name": "force", "in": "query", "schema": {"type": "boolean"}}


def _published(node: Any) -> Any:
    """Return a schema as OpenAPI v3 writes it: siblings of $ref kept."""
    if isinstance(node, list):
        return [_published(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    result = {key: _published(value) for key, value in node.items()}
    reference = result.get("$ref")
    if isinstance(reference, str):
        result["$ref"] = _REF + reference.rsplit("/", 1)[1]
        if len(result) > 1:
            result["allOf"] = [{"$ref": result.pop("$ref")}]
    return result


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference.rsplit("/", 1)[1]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operation(resource: Resource, action: str, parameters: list[Any]) -> dict[str, Any]:
    reference = {"$ref": _REF + schemas.definition_name(resource)}
    content = {"application/json": {"schema": reference}}
    return {
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
        "parameters": parameters,
    }


def _paths(resource: Resource) -> dict[str, Any]:
    prefix = f"/apis/{resource.group}" if resource.group else "/api"
    base = f"{prefix}/{resource.version}"
    scope = f"{base}/namespaces/{{namespace}}" if resource.namespaced else base
    collection = {
        "get": _operation(resource, "list", []),
        "post": _operation(resource, "post", _PARAMETERS),
    }
    single = {
        "get": _operation(resource, "get", []),
        "put": _operation(resource, "put", _PARAMETERS),
        "patch": _operation(resource, "patch", [*_PARAMETERS, _FORCE]),
        "delete": _operation(resource, "delete", []),
    }
    paths = {
        f"{scope}/{resource.plural}": collection,
        f"{scope}/{resource.plural}/{{name}}": single,
    }
    if resource.namespaced:
        paths[f"{base}/{resource.plural}"] = {"get": _operation(resource, "list", [])}
    return paths


def document(registry: Registry, group: str, version: str) -> dict[str, Any] | None:
    """Return the OpenAPI v3 document of one group and version; None when it is not served."""
    served = [res for res in registry if (res.group, res.version) == (group, version)]
    if not served:
        return None
    components: dict[str, Any] = {}
    todo: list[str] = []
    for resource in served:
        schema = schemas.schema_of(resource)
        gvk = {"x-kubernetes-group-version-kind": [_gvk(resource)]}
        components[schemas.definition_name(resource)] = _published({**schema, **gvk})
        todo += _references(schema)
    while todo:
        name = todo.pop()
        if name not in components:
            schema = schemas.definitions()[name]
            components[name] = _published(schema)
            todo += _references(schema)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": {path: item for res in served for path, item in _paths(res).items()},
        "components": {"schemas": components},
    }


def index(registry: Registry) -> dict[str, Any]:
    """Return the document at ``/openapi/v3``; hashes let kubectl cache the parts."""
    paths = {}
    for group, versions in registry.group_versions().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            content = orjson.dumps(document(registry, group, version))
            digest = hashlib.sha256(content).hexdigest()[:32].upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def legacy_json() -> dict[str, Any]:
    """Return the document at ``/openapi/v2`` as JSON."""
    info = {"title": "Kubernetes", "version": "v1.32.0"}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}


def legacy_proto() -> bytes:
    """Return the document at ``/openapi/v2`` as gnostic protobuf."""
    return _EMPTY_V2_PROTO
