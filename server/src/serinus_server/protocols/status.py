"""The HTTP status of every request error. All protocols agree on these; they differ in the body."""

from __future__ import annotations

from collections.abc import Mapping

from serinus_server import errors

STATUS: Mapping[type[errors.RequestError], int] = {
    errors.MalformedRequest: 400,
    errors.UnknownModel: 404,
    errors.BodyTimeout: 408,
    errors.RequestTooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.InvalidInput: 422,
    errors.PredictionFailed: 500,
    errors.NotReady: 503,
    errors.Overloaded: 503,
    errors.PredictionTimeout: 504,
}
