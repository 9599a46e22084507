"""What a prediction protocol is: bytes in, bytes out, and a shape for errors. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from serinus_server.errors import RequestError
from serinus_server.service.model import ServedModel


@dataclass(frozen=True, slots=True)
class Request:
    """A prediction request, as far as codecs care."""

    body: bytes
    content_type: str = ""  # as sent
    path: Mapping[str, str] = field(default_factory=dict)  # parameters of the route


class Codec(Protocol):
    """One prediction protocol. Stateless; ``answer`` is called from worker threads."""

    name: str  # one of contract.PROTOCOLS

    def answer(self, model: ServedModel, request: Request) -> bytes:
        """The body of a successful answer.

        Raises:
            RequestError: the request cannot be answered.
        """

    def error(self, error: RequestError) -> bytes:
        """The body that tells ``error`` in the protocol's form."""
