"""What the operator needs of the outside world, shaped by who needs it.

Implementations live in ``kube``, ``metrics`` and ``registry``; tests and the simulation pass their
own. Every failure of the Kubernetes API is one of the errors below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from serinus.api.status import PinnedModel
from serinus.core.observed import Reading, ResolveFailed

Manifest = Mapping[str, Any]


class ApiError(Exception):
    """The Kubernetes API did not do what it was asked.

    Attributes:
        status: HTTP status, or 0 when there was no answer.
        reason: the API's own word for it, such as ``Conflict``.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason} ({status}): {message[:500]}")
        self.status = status
        self.reason = reason
        self.message = message[:500]


class NotFound(ApiError):
    """404: the object, its namespace or its kind is not there."""


class Conflict(ApiError):
    """409: the object has changed since it was read, or exists already."""


class Invalid(ApiError):
    """400 or 422: the API server refuses the content."""


class Forbidden(ApiError):
    """401 or 403: not allowed."""


class TooManyRequests(ApiError):
    """429: come back after ``retry_after`` seconds."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float) -> None:
        super().__init__(status, reason, message)
        self.retry_after = retry_after


class ServerError(ApiError):
    """5xx."""


class Unreachable(ApiError):
    """No answer: connection refused, broken or timed out."""


class Stale(ApiError):
    """A read that does not show our own last write yet: nothing may be decided on it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object as the API addresses it."""

    group: str  # empty: the core group
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class Ref:
    """One namespaced object."""

    kind: Kind
    namespace: str
    name: str


class KubeApi(Protocol):
    """Reads are fresh, never from a cache. Every method raises :class:`ApiError`."""

    async def get(self, ref: Ref) -> Manifest | None:
        """The object, or None when it is not there."""

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        """Objects with these labels; in every namespace when ``namespace`` is None."""

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        """JSON merge patch; with ``metadata.resourceVersion`` in it a compare-and-set."""

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        """Creates the object; :class:`Conflict` when it exists."""

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        """Deletes exactly the object with this uid, its dependents in the background; a missing one is success.

        With ``resource_version`` only as that version: :class:`Conflict` when it has changed since.
        """


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Raw samples of one arm of one ModelDeployment.

    Attributes:
        bounds: of the latency buckets that are judged by, in seconds; a source may leave out others, and all
            of them where this is empty. None: all buckets.
    """

    namespace: str
    model: str
    revision: str  # short
    start: datetime  # samples from here ...
    end: datetime  # ... to here
    targets: tuple[str, ...]  # host:port of the arm's pods, for sources that ask them directly
    bounds: tuple[str, ...] | None = None


class MetricSource(Protocol):
    """Where raw counters come from. Failures are values."""

    async def read(self, query: SeriesQuery) -> Reading:
        """Samples of requests and latency buckets of live traffic, one series per pod and label set."""


class Registry(Protocol):
    """Says what a model URI stands for. Failures are values."""

    async def resolve(self, uri: str) -> PinnedModel | ResolveFailed:
        """Pins a URI to a version and, where it can be known, to a digest of its files."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""
