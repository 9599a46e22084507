"""``POST /predict``: a record or a list of records in, predictions out. For people and for curl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serinus_server import errors
from serinus_server.protocols.codec import Answer, Question, Request
from serinus_server.protocols.json import predictions_of, read_json, write_json
from serinus_server.service.model import ServedModel
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


class PredictCodec:
    """The plain protocol; its errors have the form that FastAPI made familiar."""

    name = "predict"

    def decode(self, model: ServedModel, request: Request) -> Question:
        return Question(_payload(read_json(request.body)))

    def encode(self, model: ServedModel, question: Question, prediction: Prediction) -> Answer:
        return Answer(
            write_json(
                {
                    "predictions": predictions_of(prediction.values),
                    "model": model.identity.model,
                    "version": model.identity.version,
                    "revision": model.identity.revision,
                }
            )
        )

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
    if isinstance(document, dict):
        return Records([document])
    if isinstance(document, list):
        if all(isinstance(row, dict) for row in document):
            return Records(document)
        if all(isinstance(row, list) for row in document):
            return Array(document)
    raise errors.MalformedRequest(
        "the body must be a record (an object), or a list of records, or a list of rows (arrays)"
    )
