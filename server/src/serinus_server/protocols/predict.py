"""``POST /predict``: a record or a list of records in, predictions out. For people and for curl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serinus_server import errors
from serinus_server.protocols.codec import Answer, Question, Request
from serinus_server.protocols.json import MAX_ELEMENTS, read_json, write_json, write_predictions
from serinus_server.service.model import Identity, ServedModel
from serinus_server.service.payload import Array, Payload, Prediction, Records

ERROR_TYPES: Mapping[type[errors.RequestError], str] = {
    errors.MalformedRequest: "malformed_request",
    errors.UnsupportedMedia: "unsupported_media",
    errors.RequestTooLarge: "request_too_large",
    errors.BodyTimeout: "body_timeout",
    errors.UnknownModel: "unknown_model",
    errors.InvalidInput: "invalid_input",
    errors.NotReady: "not_ready",
    errors.Overloaded: "overloaded",
    errors.PredictionTimeout: "prediction_timeout",
    errors.PredictionFailed: "prediction_failed",
}

_DICT = {dict}
_LIST = {list}


class PredictCodec:
    """The plain protocol; its errors have the form that FastAPI made familiar."""

    name = "predict"

    def __init__(self, max_elements: int = MAX_ELEMENTS) -> None:
        self._max_elements = max_elements
        self._tail: tuple[Identity | None, bytes] = (None, b"")

    def decode(self, model: ServedModel, request: Request) -> Question:
        return Question(_payload(read_json(request.body, self._max_elements)))

    def encode(self, model: ServedModel, question: Question, prediction: Prediction) -> Answer:
        values = write_predictions(prediction.values)
        return Answer(b'{"predictions":%s%s' % (values, self._tail_of(model.identity)))

    def _tail_of(self, identity: Identity) -> bytes:
        """What follows the predictions; made once, since a server has one identity."""
        known, tail = self._tail
        if known is not identity:
            who = {
                "model": identity.model,
                "version": identity.version,
                "revision": identity.revision,
            }
            tail = b"," + write_json(who)[1:]
            self._tail = (identity, tail)
        return tail

    def error(self, error: errors.RequestError) -> bytes:
        where: list[Any] = ["body"]
        message = str(error)
        if isinstance(error, errors.InvalidInput):
            where += [part for part in (error.row, error.field) if part is not None]
            message = error.message
        return write_json(
            {"detail": [{"loc": where, "msg": message, "type": ERROR_TYPES[type(error)]}]}
        )


def _payload(document: Any) -> Payload:
    if type(document) is dict:
        return Records([document])
    if type(document) is list:
        types = set(map(type, document))
        if types <= _DICT:
            return Records(document)
        if types == _LIST:
            return Array(document)
    raise errors.MalformedRequest(
        "the body must be a record (an object), or a list of records, or a list of rows (arrays)"
    )
