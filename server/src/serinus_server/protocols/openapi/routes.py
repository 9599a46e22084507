"""``GET /openapi.json`` and ``GET /docs``."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from importlib import resources

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serinus_server.protocols.json import write_json
from serinus_server.protocols.openapi.answers import Bounds
from serinus_server.protocols.openapi.document import document
from serinus_server.protocols.openapi.examples import examples_of
from serinus_server.protocols.openapi.kinds import inputs_of
from serinus_server.service.model import ServedModel

_log = structlog.stdlib.get_logger(__name__)


class Documentation:
    """The document of the model, once there is one. Written by one thread, read by another."""

    def __init__(self) -> None:
        self._document: bytes | None = None
        self._failed = False

    @property
    def document(self) -> bytes | None:
        """The OpenAPI document as JSON; None before the model was described."""
        return self._document

    def describe(
        self, model: ServedModel, bounds: Bounds, version: str, example: bytes | None, *, ask: bool
    ) -> None:
        """Make the document; ``example`` is the logged one, which with ``ask`` the model answers.

        A model that cannot be described can still be served: a failure is only logged.
        """
        try:
            inputs = inputs_of(model.signature)
            examples = examples_of(model, inputs, example, may_ask=ask)
            made = document(model, inputs.wanted(), examples, bounds, version)
            self._document = write_json(made)
        except Exception:  # noqa: BLE001 - a mistake of ours, or a signature that nobody thought of
            self._failed = True
            _log.exception("the model has no OpenAPI document")

    def routes(self) -> list[Route]:
        """The routes of the document and of its page."""
        return [Route("/openapi.json", self._get), Route("/docs", _page())]

    async def _get(self, _: Request) -> Response:
        if self._document is not None:
            return _json(self._document, 200)
        if self._failed:
            why = "the document could not be made; the server's log says why"
            return _json(write_json({"error": why}), 500)
        why = "the model is not ready, and its fields are not known yet"
        return _json(write_json({"error": why}), 503)


def _json(body: bytes, status: int) -> Response:
    headers = {"cache-control": "no-cache", **({"retry-after": "1"} if status == 503 else {})}
    return Response(body, status, headers, media_type="application/json")


def _page() -> Callable[[Request], Awaitable[Response]]:
    """The page: one file that asks nobody but this server, as its policy tells the browser."""
    folder = resources.files(__package__) / "page"
    html, style, script = (
        (folder / name).read_text("utf-8") for name in ("docs.html", "docs.css", "docs.js")
    )
    body = html.replace("/*style*/", style).replace("/*script*/", script).encode()
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": "; ".join(
            (
                "default-src 'none'",
                f"style-src {_hash(style)}",
                f"script-src {_hash(script)}",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        ),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }

    async def page(_: Request) -> Response:
        return Response(body, headers=headers, media_type="text/html")

    return page


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
