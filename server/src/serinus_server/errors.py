"""Everything that can go wrong, in the server's own terms.

No error knows a status code or a protocol: each protocol maps the request errors in its own
table (a test fails when an error has no entry). Messages are shown to clients or to operators as
they are, so they never hold paths of this machine, stack traces or whole inputs.

    SerinusServerError
      RequestError            one request could not be answered
        MalformedRequest      not JSON, or not the protocol's form
        UnsupportedMedia      content type or content encoding that is not spoken here
        RequestTooLarge       more bytes or values than the limit
        BodyTimeout           the client did not send its body in time
        UnknownModel          another model's name or version
        InvalidInput          well-formed, but not what the model's signature wants
        NotReady              no model to ask (yet, or any more)
        Overloaded            as many requests in flight as the limit
        PredictionTimeout     no answer within the request timeout
        PredictionFailed      the model raised
      StartupError            the model cannot be served; the process ends
        DownloadFailed, DigestMismatch, NotAdmitted, LoadFailed, WarmupFailed, LoadTimeout
"""

from __future__ import annotations


class SerinusServerError(Exception):
    """Base of all errors of the server. ``str(error)`` is one line, fit to be shown."""


class RequestError(SerinusServerError):
    """One request could not be answered; the server itself is well."""


class MalformedRequest(RequestError):
    """The body is not JSON (or CSV), or lacks the form that the protocol asks for."""


class UnsupportedMedia(RequestError):
    """The body's content type or content encoding is not spoken here."""


class RequestTooLarge(RequestError):
    """The body has more bytes, or what else ``unit`` says, than ``limit``."""

    def __init__(self, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"the request body is larger than the limit of {limit} {unit}")
        self.limit = limit


class BodyTimeout(RequestError):
    """The client did not send its whole body within ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the request body did not arrive within {seconds:g} s")


class UnknownModel(RequestError):
    """The request names another model or version than the one served."""


class InvalidInput(RequestError):
    """The input does not fit the model's signature.

    ``field`` is the input's name and ``row`` its 0-based row, where they are known.
    """

    def __init__(self, message: str, *, field: str | None = None, row: int | None = None) -> None:
        where = "" if field is None else f"input {field!r}"
        if row is not None:
            where = f"{where}, row {row}" if where else f"row {row}"
        super().__init__(f"{where}: {message}" if where else message)
        self.message = message
        self.field = field
        self.row = row


class NotReady(RequestError):
    """No model can be asked now; ``state`` is the server's state in lower case."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the model is not ready: the server is {state}")
        self.state = state


class Overloaded(RequestError):
    """``limit`` requests are in flight already; try again after ``retry_after`` seconds."""

    def __init__(self, limit: int, retry_after: int = 1) -> None:
        super().__init__(f"{limit} requests are in flight already, which is the limit")
        self.retry_after = retry_after


class PredictionTimeout(RequestError):
    """The model did not answer within ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the prediction took longer than the limit of {seconds:g} s")


class PredictionFailed(RequestError):
    """The model raised on input that fits its signature; the log says why under ``error_id``."""

    def __init__(self, error_id: str) -> None:
        super().__init__(f"the model failed to answer; the server's log says why under {error_id}")
        self.error_id = error_id


class StartupError(SerinusServerError):
    """The model cannot be served. The process says why and ends with exit code 1."""


class DownloadFailed(StartupError):
    """The model's files could not be fetched."""


class DigestMismatch(StartupError):
    """The model's files are not the ones that were asked for."""


class NotAdmitted(StartupError):
    """The model would bring code or files that this server does not allow."""


class LoadFailed(StartupError):
    """The model's files are there and admitted, but do not become a model."""


class WarmupFailed(StartupError):
    """The model does not answer its own input example."""


class LoadTimeout(StartupError):
    """The model was not ready within the load timeout."""
