"""The gRPC code of every request error."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from serinus_server import errors

CODES: Mapping[type[errors.RequestError], grpc.StatusCode] = {
    errors.MalformedRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnknownModel: grpc.StatusCode.NOT_FOUND,
    errors.BodyTimeout: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.RequestTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnsupportedMedia: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.PredictionFailed: grpc.StatusCode.INTERNAL,
    errors.NotReady: grpc.StatusCode.UNAVAILABLE,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.PredictionTimeout: grpc.StatusCode.DEADLINE_EXCEEDED,
}
