"""HTTP bodies and query parameters, in and out."""

from __future__ import annotations

from typing import Any

import orjson
import yaml
from aiohttp import web

from serinus.sandbox.apiserver import errors
from serinus.sandbox.apiserver.options import DeleteOptions, Write
from serinus.sandbox.apiserver.requests import RequestInfo
from serinus.sandbox.apiserver.store import Object

BODY_LIMIT = 3 * 1024 * 1024
APPLY = "application/apply-patch+yaml"
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_YAML = "application/yaml"
_ACCEPTED = ("application/json", _YAML)
_PROPAGATION = ("Foreground", "Background", "Orphan")
_VALIDATION = ("Ignore", "Warn", "Strict")


def json_response(body: Any, status: int = 200, warnings: list[str] | None = None) -> web.Response:
    """Return a JSON response; ``warnings`` become ``Warning`` headers, which kubectl prints."""
    response = web.Response(
        body=orjson.dumps(body) + b"\n", status=status, content_type="application/json"
    )
    for text in dict.fromkeys(warnings or ()):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def is_true(request: web.Request, parameter: str) -> bool:
    """Whether a boolean query parameter is on."""
    return request.query.get(parameter, "").lower() in ("1", "true")


async def read_document(request: web.Request) -> Any:
    """Return the body of a JSON request.

    Raises:
        ApiError: 400.
    """
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"the body of the request is not JSON: {error}") from None


async def read_object(request: web.Request) -> Object:
    """Return the object in the body: JSON or YAML.

    Raises:
        ApiError: 400 or 415.
    """
    content = request.content_type
    if content == _PROTOBUF:
        raise errors.protobuf_body()
    if content in (_YAML, APPLY):
        try:  # JSON is YAML too, but far slower to read as such
            document = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            document = _from_yaml(await request.text())
    elif content in ("application/json", "application/octet-stream"):
        document = await read_document(request)
    else:
        raise errors.unsupported_media_type(_ACCEPTED)
    if not isinstance(document, dict):
        raise errors.bad_request("the body of the request is not an object")
    return document


def _from_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise errors.bad_request(f"error decoding YAML: {error}") from None


def write_options(request: web.Request, info: RequestInfo) -> Write:
    """Return the options of a write.

    Raises:
        ApiError: 400 for values that do not exist.
    """
    query = request.query
    kind = f"{info.verb.capitalize()}Options"
    if query.get("dryRun", "All") != "All":
        raise errors.invalid_option(kind, "dryRun", query["dryRun"], ["All"])
    validation = query.get("fieldValidation") or "Warn"
    if validation not in _VALIDATION:
        raise errors.invalid_option(kind, "fieldValidation", validation, _VALIDATION)
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0]
    return Write(
        manager=query.get("fieldManager") or agent,
        subresource=info.subresource,
        field_validation=validation,
        dry_run="dryRun" in query,
        force=is_true(request, "force"),
    )


async def delete_options(request: web.Request) -> DeleteOptions:
    """Return the options of a deletion, from the body or the query.

    Raises:
        ApiError: 400.
    """
    given: Object = {}
    if request.can_read_body and await request.read():
        given = await read_object(request)
    query = request.query
    grace = given.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = given.get("propagationPolicy", query.get("propagationPolicy"))
    if propagation and propagation not in _PROPAGATION:
        raise errors.invalid_option(
            "DeleteOptions", "propagationPolicy", propagation, [*_PROPAGATION, "nil"]
        )
    try:
        seconds = None if grace is None else int(grace)
    except ValueError:
        raise errors.bad_request(f"gracePeriodSeconds cannot be {grace}") from None
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        grace_seconds=seconds,
        propagation=propagation or None,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        dry_run=bool(given.get("dryRun") or query.get("dryRun")),
    )
