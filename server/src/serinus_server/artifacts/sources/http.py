"""Files over HTTP: one archive that holds the model.

Redirects are followed here and not by the client library, to where the server is sent only by
``http`` and ``https``, and never from the latter to the former. Which hosts may be asked is for the
network around the server to say. Credentials are those that ``requests`` finds in the environment
(``NETRC``), for the host that they are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from serinus_server.artifacts.sources.job import Changed, Interrupted, Job, Piece
from serinus_server.errors import DownloadFailed

if TYPE_CHECKING:
    from pathlib import Path

    from requests import Response, Session

_CHUNK = 1024 * 1024
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 60.0  # seconds that a server may ask for
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def download_http(uri: str, path: Path, job: Job) -> None:
    """Write the file at ``uri`` to ``path``.

    Raises:
        DownloadFailed: it cannot be had.
        NotAdmitted: it is too large.
    """
    import requests

    with requests.Session() as session:

        @contextmanager
        def open_at(offset: int, tag: str | None) -> Iterator[Piece]:
            with _ask(session, uri, offset, tag, job.patience.stall) as response:
                yield _piece(response, offset)

        job.download(uri.rpartition("/")[2], open_at, path)


@contextmanager
def _ask(
    session: Session, uri: str, offset: int, tag: str | None, stall: float
) -> Iterator[Response]:
    from requests import RequestException
    from requests.exceptions import SSLError

    headers = {"Accept-Encoding": "identity"}
    if offset and tag is not None:
        headers |= {"Range": f"bytes={offset}-", "If-Range": tag}
    for _ in range(_MAX_REDIRECTS + 1):
        try:
            response = session.get(
                uri, headers=headers, stream=True, allow_redirects=False, timeout=(10.0, stall)
            )
        except SSLError as error:
            raise DownloadFailed("the server's certificate is not accepted") from error
        except RequestException as error:
            raise Interrupted(_why(error)) from error
        with response:
            if response.status_code not in _REDIRECTS:
                yield response
                return
            uri = _redirected(uri, response.headers.get("Location", ""))
    raise DownloadFailed(f"the server redirects more than {_MAX_REDIRECTS} times")


def _redirected(uri: str, location: str) -> str:
    target = urljoin(uri, location)
    try:
        parts = urlsplit(target)
    except ValueError:
        raise DownloadFailed("the server redirects to something that is no URL") from None
    if not location or parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadFailed("the server redirects to something else than HTTP")
    if urlsplit(uri).scheme == "https" and parts.scheme == "http":
        raise DownloadFailed("the server redirects from https to http, which is not followed")
    if "@" in parts.netloc:
        raise DownloadFailed("the server redirects to a URL with a password in it")
    return target


def _piece(response: Response, offset: int) -> Piece:
    status, headers = response.status_code, response.headers
    if status in _PASSING:
        raise Interrupted(f"the server answers {status}", _wanted_wait(headers.get("Retry-After")))
    if status == 416:
        raise Changed
    if status not in (200, 206):
        hint = " (credentials come from the file that NETRC names)" if status in (401, 403) else ""
        raise DownloadFailed(f"the server answers {status} {response.reason or ''}{hint}")
    tag = _tag(headers.get("ETag"), headers.get("Last-Modified"))
    if status == 206:
        told = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if told is None or int(told[1]) != offset:
            raise Changed
        return Piece(offset, int(told[3]), tag, _chunks(response))
    length = headers.get("Content-Length", "")
    if length.isdecimal():
        return Piece(0, int(length), tag, _chunks(response))
    if headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise DownloadFailed("the server does not say how long the file is")
    return Piece(0, None, tag, _chunks(response))


def _tag(etag: str | None, modified: str | None) -> str | None:
    """What to go on under. A weak tag does not promise the same bytes."""
    if etag is None:
        return modified
    return None if etag.startswith("W/") else etag


def _chunks(response: Response) -> Iterator[bytes]:
    """The body as it was stored, also where the server calls an archive's compression an encoding."""
    from urllib3.exceptions import HTTPError

    try:
        yield from response.raw.stream(_CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise Interrupted(_why(error)) from error


def _wanted_wait(told: str | None) -> float:
    return min(float(told), _LONGEST_WAIT) if told is not None and told.isdecimal() else 0.0


def _why(error: Exception) -> str:
    """What broke, without the words of the error: they repeat URLs, proxies and their passwords."""
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) and inner not in chain:
        chain.append(inner)
    kinds = " ".join(type(each).__name__ for each in chain)
    if "Timeout" in kinds:
        return "it did not answer in time"
    if "IncompleteRead" in kinds or "InvalidChunk" in kinds:
        return "the connection ended early"
    if "NameResolution" in kinds or "gaierror" in kinds:
        return "its host's name is not known"
    told = next(
        (each.strerror for each in chain if isinstance(each, OSError) and each.strerror), None
    )
    return str(told or type(error).__name__)
