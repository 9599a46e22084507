"""What a prediction protocol is: bytes in, bytes out, and a shape for errors. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from serinus_server.errors import RequestError
from serinus_server.service.model import ServedModel
from serinus_server.service.payload import Payload, Prediction

JSON_HEADERS: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)


_NOTHING: Mapping[str, str] = MappingProxyType({})


# Tuples, because each request makes one of each, and a frozen dataclass takes twice as long.
class Request(NamedTuple):
    """A prediction request, as far as codecs care."""

    body: bytes
    content_type: str = ""  # as sent
    path: Mapping[str, str] = _NOTHING  # parameters of the route
    headers: Mapping[str, str] = _NOTHING  # those that codecs ask for


class Question(NamedTuple):
    """A decoded request: what to ask the model, and what the answer's form depends on."""

    payload: Payload
    params: Mapping[str, Any] | None = None
    context: Any = None  # the codec's own, given back to it with the answer


class Answer(NamedTuple):
    """The body of an answer, and the headers beside those that all answers have."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = JSON_HEADERS


class Codec(Protocol):
    """One prediction protocol. Stateless, and called from several threads at once."""

    name: str  # one of contract.PROTOCOLS

    def decode(self, model: ServedModel, request: Request) -> Question:
        """What ``request`` asks.

        Raises:
            RequestError: it is not of the protocol's form.
        """

    def encode(self, model: ServedModel, question: Question, prediction: Prediction) -> Answer:
        """The answer to ``question``.

        Raises:
            RequestError: the question wants an output that the prediction does not have.
        """

    def error(self, error: RequestError) -> bytes:
        """The body that tells ``error`` in the protocol's form."""


def answer(codec: Codec, model: ServedModel, request: Request) -> Answer:
    """The whole way of one request, by itself."""
    question = codec.decode(model, request)
    return codec.encode(model, question, model.predict(question.payload, question.params))
