"""From the API's answers to the error tree of ``ports``."""

from __future__ import annotations

import json

from serinus.ports import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
)

_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
}
_DEFAULT_RETRY_AFTER = 1.0


def error_from(status: int, body: bytes, retry_after: str | None) -> ApiError:
    """The error for an answer of 400 or more; its text is the API server's message."""
    reason, message = "", body[:500].decode(errors="replace")
    try:
        told = json.loads(body)
        reason, message = str(told.get("reason") or ""), str(told.get("message") or message)
    except (ValueError, AttributeError):
        pass  # not a Status object: a proxy in between, or a plain 404 page
    if status == 429:
        told_seconds = retry_after if retry_after and retry_after.isdecimal() else None
        seconds = float(told_seconds or _DEFAULT_RETRY_AFTER)
        return TooManyRequests(status, reason or "TooManyRequests", message, seconds)
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else Invalid)
    return kind(status, reason or kind.__name__, message)
