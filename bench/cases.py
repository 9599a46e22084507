"""What is compared with what: a model, the servers that serve it, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.dialects import Dialect
from bench.measurements import (
    CPU,
    LONE_P50,
    LONE_P99,
    MEMORY,
    RATE,
    ROWS,
    SHARED,
    START,
    START_CPU,
    STEADY_P50,
    STEADY_P99,
    Metric,
    rate_at,
)
from bench.peers.catalog import LIMIT, OURS, PEERS, SNIPPET, Peer
from bench.questions import LARGE, Model

CONCURRENCY = (16, 64)
MLFLOW_LOADERS = ("snippet-mlflow", "mlflow", "mlserver-mlflow")
EVERYONE = tuple(PEERS)
_ALL_BUT_LIMIT = tuple(name for name in EVERYONE if name != LIMIT)


@dataclass(frozen=True, slots=True)
class Kind:
    """One measurement. ``concurrency`` are the requests in flight, ``weight`` its length in units
    of ``--seconds``; ``asked`` is false for what is read off the running server.
    """

    name: str
    concurrency: int = 0
    weight: float = 1.0
    asked: bool = True


LONE = Kind("lone", 1)
LARGE_ROWS = Kind("large", CONCURRENCY[0])
STEADY = Kind("steady", CONCURRENCY[-1], weight=1.5)
MEMORY_NOW = Kind("memory", asked=False)


def busy(concurrency: int) -> Kind:
    """As many requests as the server can answer, so many at a time."""
    return Kind(f"busy-{concurrency}", concurrency)


@dataclass(frozen=True, slots=True)
class Target:
    """One way to ask one server; ``name`` is unique in its case."""

    name: str
    peer: Peer
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Group:
    """The cases that share their running servers: those of one model and one transport."""

    model: str
    grpc: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison. ``metrics`` are the columns of its table, ``compared`` is what its ratios
    are of.
    """

    name: str
    title: str
    group: Group
    peers: Sequence[str]
    kinds: Sequence[Kind]
    metrics: Sequence[Metric]
    compared: Metric
    dialects: Callable[[Peer, Model], dict[str, Dialect]] = lambda peer, _: dict(peer.dialects)

    def targets(self, peer: Peer, model: Model) -> list[Target]:
        """The ways to ask this server in this case."""
        return [Target(name, peer, dialect) for name, dialect in self.dialects(peer, model).items()]


def _named(peer: Peer, model: Model) -> dict[str, Dialect]:
    return {peer.name: peer.named(model.columns)} if peer.named is not None else {}


def _over_grpc(peer: Peer, _: Model) -> dict[str, Dialect]:
    return {peer.name: peer.grpc} if peer.grpc is not None else {}


def _first(peer: Peer, _: Model) -> dict[str, Dialect]:
    return {peer.name: next(iter(peer.dialects.values()))}


_BUSY = tuple(busy(concurrency) for concurrency in CONCURRENCY)
_RATES = tuple(rate_at(concurrency) for concurrency in CONCURRENCY)

CASES = {
    case.name: case
    for case in (
        Case(
            "single", "One row per request, logistic regression", Group("lr"), EVERYONE,
            (LONE, *_BUSY, STEADY),
            (*_RATES, CPU, LONE_P50, LONE_P99, STEADY_P50, STEADY_P99), RATE,
        ),
        Case(
            "rows", f"{LARGE} rows per request, logistic regression, c={LARGE_ROWS.concurrency}",
            Group("lr"), _ALL_BUT_LIMIT, (LARGE_ROWS,), (ROWS, CPU), ROWS,
        ),
        Case(
            "start", "Start and memory, logistic regression", Group("lr"), _ALL_BUT_LIMIT,
            (MEMORY_NOW,), (START, START_CPU, MEMORY, SHARED), MEMORY, _first,
        ),
        Case(
            "boosting", "One row per request, gradient boosting of 100 trees", Group("gbc"),
            (OURS, SNIPPET), _BUSY[-1:], (_RATES[-1], CPU), RATE,
        ),
        Case(
            "forest", "One row per request, random forest of 100 trees", Group("rf"),
            (OURS, SNIPPET), _BUSY[-1:], (_RATES[-1], CPU), RATE,
        ),
        Case(
            "columns", "One row per request, 30 named columns of mixed types", Group("mixed"),
            (OURS, "mlflow"), (LONE, *_BUSY), (*_RATES, CPU, LONE_P50, LONE_P99), RATE, _named,
        ),
        Case(
            "grpc", "One row per call over gRPC, logistic regression", Group("lr", grpc=True),
            (OURS, "mlserver"), (LONE, *_BUSY), (*_RATES, CPU, LONE_P50, LONE_P99), RATE,
            _over_grpc,
        ),
    )
}  # fmt: skip
