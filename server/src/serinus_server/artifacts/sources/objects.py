"""Models in S3 (and what speaks its protocol) and Google Cloud Storage, by obstore.

A model is all objects below a prefix, or one archive. Credentials, region and endpoint are those of
the services' standard variables (``AWS_*``, ``GOOGLE_*``) or of the workload's identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from serinus_server.artifacts.names import Names
from serinus_server.artifacts.sources.job import Changed, Interrupted, Job, Open, Piece
from serinus_server.errors import DownloadFailed

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

    Store = S3Store | GCSStore

_CHUNK = 1024 * 1024
_LONGEST = timedelta(days=1)  # of one request; the job knows the deadline
_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
_GCS_ENDPOINTS = ("STORAGE_EMULATOR_HOST",)
# What more tries do not change, by the words of the service.
_FINAL = ("Missing", "Unauth", "403 Forbidden", "401 ", "400 Bad", "NoSuchBucket", "credential")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: ``size`` in bytes, and the ``tag`` of the content that was listed."""

    key: str
    size: int
    tag: str | None


def download_prefix(uri: str, target: Path, job: Job) -> None:
    """Write all objects below ``s3://BUCKET/PREFIX`` or ``gs://BUCKET/PREFIX`` into ``target``.

    Raises:
        DownloadFailed: there are none, or they cannot be had.
        NotAdmitted: a name is not allowed, or they are too many or too large.
    """
    store, prefix = _store(uri, job)
    names, wanted = Names(), []
    for stored in _listed(store, prefix, job):
        name = stored.key.removeprefix(f"{prefix}/")
        if stored.size == 0 and (name.endswith("/") or stored.key == prefix):
            continue  # how consoles show a folder
        names.add(name)
        job.budget.add_file()
        wanted.append((name, stored))
    if not wanted:
        raise DownloadFailed(f"there is nothing at {uri}")
    job.expect(sum(stored.size for _, stored in wanted))
    for name, stored in wanted:
        path = target / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        job.download(name, _opener(store, stored.key, stored.tag), path)


def download_object(uri: str, path: Path, job: Job) -> None:
    """Write the object at ``s3://BUCKET/KEY`` or ``gs://BUCKET/KEY`` to ``path``.

    Raises:
        DownloadFailed: it cannot be had.
        NotAdmitted: it is too large.
    """
    store, key = _store(uri, job)
    job.download(key, _opener(store, key, None), path)


def _store(uri: str, job: Job) -> tuple[Store, str]:
    """The store of the bucket that ``uri`` names, and the key without ``/`` at its ends."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import GCSStore, S3Store
    except ModuleNotFoundError:
        raise DownloadFailed(
            "s3:// and gs:// need the package obstore, which this image lacks: "
            "install serinus[object-stores]"
        ) from None
    parts = urlsplit(uri)
    names = _S3_ENDPOINTS if parts.scheme == "s3" else _GCS_ENDPOINTS
    endpoint = next((os.environ[name] for name in names if os.environ.get(name)), None)
    options: Any = {
        "connect_timeout": "10s",
        "read_timeout": f"{job.patience.stall:g}s",
        "timeout": _LONGEST,
        # Only where whoever runs the server wrote it so.
        "allow_http": (endpoint or "").startswith("http://"),
    }
    common: Any = {"client_options": options, "retry_config": {"max_retries": 1}}
    try:
        if parts.scheme == "gs":
            emulated: Any = {"base_url": endpoint, "skip_signature": True} if endpoint else {}
            store: Store = GCSStore(parts.netloc, **common, **emulated)
        else:
            place: Any = {"endpoint": endpoint} if endpoint else {}
            store = S3Store(parts.netloc, **common, **place)
    except BaseError as error:
        raise DownloadFailed(f"{uri} cannot be asked for: {_reason(error)}") from error
    return store, unquote(parts.path).strip("/")


def _listed(store: Store, prefix: str, job: Job) -> Iterator[Stored]:
    from obstore.exceptions import BaseError

    try:
        for page in store.list(f"{prefix}/"):
            job.check_time()
            for entry in page:
                yield Stored(entry["path"], int(entry["size"]), entry["e_tag"])
    except (BaseError, FileNotFoundError, PermissionError) as error:
        raise DownloadFailed(f"the bucket cannot be listed: {_reason(error)}") from error


def _opener(store: Store, key: str, listed: str | None) -> Open:
    @contextmanager
    def open_at(offset: int, tag: str | None) -> Iterator[Piece]:
        from obstore.exceptions import BaseError, PreconditionError

        options: Any = {"if_match": _quoted(tag or listed)} if tag or listed else {}
        if offset:
            options["range"] = {"offset": offset}
        try:
            answer = store.get(key, options=options)
        except PreconditionError:
            if tag is None:
                raise DownloadFailed(f"{key} changed while the model was downloaded") from None
            raise Changed from None
        except FileNotFoundError:
            raise DownloadFailed(f"{key} does not exist") from None
        except (BaseError, PermissionError) as error:
            if "non-partial" in str(error):  # a server that cannot go on: begin again
                raise Changed from error
            if isinstance(error, PermissionError) or any(word in str(error) for word in _FINAL):
                raise DownloadFailed(f"{key} cannot be had: {_reason(error)}") from error
            raise Interrupted(_reason(error)) from error
        yield Piece(offset, int(answer.meta["size"]), answer.meta["e_tag"], _chunks(answer))

    return open_at


def _chunks(answer: Any) -> Iterator[bytes]:
    from obstore.exceptions import BaseError

    try:
        for chunk in answer.stream(min_chunk_size=_CHUNK):
            yield memoryview(chunk).tobytes()
    except (BaseError, OSError) as error:
        raise Interrupted(_reason(error)) from error


def _quoted(tag: str | None) -> str:
    text = tag or ""
    return text if text.startswith('"') else f'"{text}"'


def _reason(error: Exception) -> str:
    """What the service or the connection said, in a word: the library's texts repeat URLs."""
    text = str(error)
    for word, reason in (
        ("MissingAccessKeyId", "no credentials were found; AWS_SKIP_SIGNATURE=true reads public buckets"),
        ("SignatureDoesNotMatch", "the secret key is wrong"),
        ("InvalidAccessKeyId", "the access key is not known"),
        ("NoSuchBucket", "the bucket does not exist"),
        ("403 Forbidden", "access is denied"),
        ("401 Unauthorized", "the credentials are not accepted"),
        ("error sending request", "the store does not answer"),
        ("timed out", "the store did not answer in time"),
        ("error decoding response body", "the connection ended early"),
    ):  # fmt: skip
        if word in text:
            return reason
    return type(error).__name__
