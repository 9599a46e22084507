"""Errors as Kubernetes clients expect them: every failure is a ``Status`` object.

Messages follow the real server's wording, because kubectl prints them and people search for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for a refusal; ``field`` is the path in the object, for example ``spec.replicas``."""

    field: str
    reason: str  # FieldValueInvalid, FieldValueRequired, ...
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the ``details.causes`` entry."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """A request that failed; becomes a ``Status`` with this HTTP code."""

    def __init__(
        self, code: int, reason: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def to_status(self) -> dict[str, Any]:
        """Return the ``Status`` object for the response's body or a watch's ERROR event."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if not self.reason:
            del status["reason"]
        if self.details is not None:
            status["details"] = self.details
        return status


def qualified(name: str, group: str) -> str:
    """Return ``deployments.apps``, or ``pods`` for the core group."""
    return f"{name}.{group}" if group else name


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    details = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in details.items() if value}


def not_found(plural: str, group: str, name: str) -> ApiError:
    """The object does not exist."""
    message = f'{qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(name, group, plural))


def no_such_path() -> ApiError:
    """No resource is served at this path."""
    message = "the server could not find the requested resource"
    return ApiError(404, "NotFound", message, {})


def already_exists(plural: str, group: str, name: str) -> ApiError:
    """Create of a name that is taken."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(name, group, plural))


def conflict(plural: str, group: str, name: str, why: str | None = None) -> ApiError:
    """A precondition (usually resourceVersion) does not hold."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(name, group, plural))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """The object breaks its schema or a rule of its kind."""
    lines = [f"{c.field}: {c.message}" if c.field else c.message for c in causes]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    details = _details(name, group, kind)
    details["causes"] = [cause.to_dict() for cause in causes]
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    return ApiError(422, "Invalid", message, details)


def bad_request(message: str) -> ApiError:
    """The request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """A credential that nobody issued."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    """The user may not do this."""
    subject = qualified(plural, group)
    subject = f'{subject} "{name}"' if name else subject
    message = f"{subject} is forbidden: {why}" if plural else f"forbidden: {why}"
    return ApiError(403, "Forbidden", message, _details(name, group, plural))


def method_not_allowed() -> ApiError:
    """The resource exists, the verb does not."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """The body's content type is not understood here."""
    message = (
        "the body of the request was in an unknown format - "
        f"accepted media types include: {', '.join(accepted)}"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def protobuf_body() -> ApiError:
    """The body is protobuf; a real server reads it, this one does not."""
    message = (
        "this API server takes JSON and YAML; kubectl create TYPE sends protobuf: use kubectl apply"
        " (kubectl create TYPE --dry-run=client -o yaml prints what to apply)"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def not_supported(plural: str, group: str, verb: str) -> ApiError:
    """The custom resource exists, the verb does not."""
    message = f'{verb} is not supported on resources of kind "{qualified(plural, group)}"'
    return ApiError(405, "MethodNotAllowed", message, _details("", group, plural))


def invalid_option(kind: str, field: str, value: str, supported: Sequence[str]) -> ApiError:
    """A request option (``kind`` is DeleteOptions, PatchOptions...) with a value nobody knows."""
    choices = ", ".join(f'"{choice}"' for choice in supported)
    message = f'Unsupported value: "{value}": supported values: {choices}'
    return invalid(kind, "meta.k8s.io", "", [Cause(field, "FieldValueNotSupported", message)])


def invalid_patch(patched: str, why: str) -> ApiError:
    """The patch can be applied, its result cannot be read as an object of the kind."""
    message = f"Invalid value: {patched!r}: {why}".replace("'", '"')
    return invalid("", "", "", [Cause("patch", "FieldValueInvalid", message)])


def expired(requested: int, oldest: int) -> ApiError:
    """A watch asks for history that is gone; the client must list again."""
    return ApiError(410, "Expired", f"too old resource version: {requested} ({oldest})")


def too_large(limit: int) -> ApiError:
    """The body is over the limit."""
    message = f"Request entity too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", message)


def not_implemented(what: str) -> ApiError:
    """A real server could do this, the sandbox cannot."""
    return ApiError(501, "NotImplemented", f"the sandbox does not implement {what}")
