"""One request and its answer, by ordinary clients: how answers are checked before a load."""

from __future__ import annotations

import http.client

from bench.dialects import Dialect

_SECONDS = 10.0


class NoAnswerError(RuntimeError):
    """The server did not answer with a prediction; the message says what it did."""


def ask(port: int, dialect: Dialect, body: bytes) -> bytes:
    """The answer's body, or message.

    Raises:
        NoAnswerError: there is none, or an error.
    """
    return _call(port, dialect.path, body) if dialect.grpc else _post(port, dialect.path, body)


def _post(port: int, path: str, body: bytes) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswerError(f"no answer: {error!r}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise NoAnswerError(f"answers with {response.status}: {answer[:300]!r}")
    return answer


def _call(port: int, path: str, body: bytes) -> bytes:
    import grpc

    # A channel would put off its next attempt for a second and more while a server starts.
    options = [("grpc.min_reconnect_backoff_ms", 10), ("grpc.initial_reconnect_backoff_ms", 10)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        try:
            call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
            return call(body, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise NoAnswerError(f"no answer: {error.code()}: {error.details()}") from None
