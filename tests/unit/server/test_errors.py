"""Every request error has its place in every protocol; a new one cannot be forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from serinus_server import errors
from serinus_server.protocols.codec import Codec
from serinus_server.protocols.mlflow import ERROR_CODES, MlflowCodec
from serinus_server.protocols.predict import ERROR_TYPES, PredictCodec
from serinus_server.protocols.status import STATUS
from serinus_server.protocols.v2 import V2Codec


def all_request_errors(base: type = errors.RequestError) -> Iterator[type[errors.RequestError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from all_request_errors(kind)


def example_of(kind: type[errors.RequestError]) -> errors.RequestError:
    arguments: dict[type, tuple[object, ...]] = {
        errors.RequestTooLarge: (10,),
        errors.BodyTimeout: (1.5,),
        errors.Overloaded: (4,),
        errors.PredictionTimeout: (1.5,),
        errors.NotReady: ("loading",),
        errors.PredictionFailed: ("abc",),
    }
    return kind(*arguments.get(kind, ("why",)))


@pytest.mark.parametrize(
    "table", [STATUS, ERROR_CODES, ERROR_TYPES], ids=["http", "mlflow", "predict"]
)
def test_every_request_error_is_in_the_table_and_nothing_else(
    table: dict[type[errors.RequestError], object],
) -> None:
    assert set(table) == set(all_request_errors())


@pytest.mark.parametrize("codec", [V2Codec(), MlflowCodec(), PredictCodec()], ids=lambda c: c.name)
@pytest.mark.parametrize("kind", list(all_request_errors()), ids=lambda kind: kind.__name__)
def test_every_codec_tells_every_error(codec: Codec, kind: type[errors.RequestError]) -> None:
    error = example_of(kind)
    assert str(error) in json.dumps(json.loads(codec.error(error)))


def test_errors_know_no_http_status() -> None:
    for kind in all_request_errors():
        assert not any("status" in name for name in vars(example_of(kind)))


def test_mlflow_error_codes_are_mlflows_own() -> None:
    from mlflow.protos.databricks_pb2 import ErrorCode

    assert set(ERROR_CODES.values()) <= set(ErrorCode.keys())
