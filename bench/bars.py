"""What the model server has to reach against which of the others, and whether it did."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.cases import MLFLOW_LOADERS
from bench.measurements import (
    CPU,
    LONE_P50,
    MEMORY,
    RATE,
    ROWS,
    START,
    START_CPU,
    STEADY_P99,
    Measurements,
    Metric,
)
from bench.peers.catalog import LIMIT, OURS, SNIPPET

MODEL_SERVERS = (
    "kserve-v1", "kserve-v2", "mlserver", "mlserver-mlflow", "mlflow", "litserve", "bentoml",
)  # fmt: skip
_PEERS = (SNIPPET, "snippet-mlflow", *MODEL_SERVERS)

State = Literal["pass", "fail", "not judged"]


@dataclass(frozen=True, slots=True)
class Bar:
    """``metric`` of ours must be at least ``times`` that of each of ``over``; where less is better,
    below ``times`` that of each.
    """

    title: str
    case: str
    metric: Metric
    over: Sequence[str]
    times: float

    @property
    def text(self) -> str:
        word = "at least" if self.metric.higher_is_better else "below"
        return f"{word} {self.times:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``ratio`` is ours to that of ``against``, of all the closest to the bar or the farthest
    beyond it; None when nothing could be compared. ``missing`` are those that could not,
    ``left_out`` those that nobody asked for.

    ``by_cpu`` is how much more CPU time ``against`` used for a request, or for its start: on a busy
    machine it says more than rates and seconds do.
    """

    bar: Bar
    state: State
    ratio: float | None
    against: str
    missing: Sequence[str]
    left_out: Sequence[str]
    by_cpu: float | None = None


BARS = (
    Bar("V2, one row: requests", "single", RATE, (SNIPPET,), 4),
    Bar("V2, one row: requests", "single", RATE, MODEL_SERVERS, 8),
    Bar("V2, one row: requests", "single", RATE, (LIMIT,), 0.6),
    Bar("V2, lone request: p50", "single", LONE_P50, (SNIPPET,), 0.6),
    Bar("V2, p99 at half of each one's rate", "single", STEADY_P99, _PEERS, 1),
    Bar("32 rows per request: rows", "rows", ROWS, _PEERS, 3),
    Bar("gradient boosting, one row, c=64: requests", "boosting", RATE, (SNIPPET,), 5),
    Bar("random forest, one row, c=64: requests", "forest", RATE, (SNIPPET,), 15),
    Bar("memory (RSS)", "start", MEMORY, MLFLOW_LOADERS, 1),
    Bar("start to first answer", "start", START, MLFLOW_LOADERS, 1),
    Bar("gRPC, one row: calls", "grpc", RATE, ("mlserver",), 3),
    Bar("30 named columns, /invocations: requests", "columns", RATE, ("mlflow",), 20),
)


def judge(found: Measurements, cases: Collection[str], asked: Collection[str]) -> list[Verdict]:
    """Every bar of the ``cases`` over at least one of the targets that were ``asked`` for.

    A bar passes only when all of those were measured.
    """
    bars = [bar for bar in BARS if bar.case in cases and any(name in asked for name in bar.over)]
    return [_judge(found, bar, asked) for bar in bars]


def _judge(found: Measurements, bar: Bar, asked: Collection[str]) -> Verdict:
    over = [name for name in bar.over if name in asked]
    left_out = [name for name in bar.over if name not in asked]
    ratios = {name: found.ratio(bar.case, bar.metric, OURS, name) for name in over}
    known = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    missing = [name for name, ratio in ratios.items() if ratio is None]
    if not known:
        return Verdict(bar, "not judged", None, "", missing, left_out)
    most = min if bar.metric.higher_is_better else max
    against, ratio = most(known.items(), key=lambda item: item[1])
    reached = ratio >= bar.times if bar.metric.higher_is_better else ratio < bar.times
    state: State = "fail" if not reached else "not judged" if missing else "pass"
    used = START_CPU if bar.metric == START else CPU if bar.metric.higher_is_better else None
    by_cpu = found.ratio(bar.case, used, against, OURS) if used is not None else None
    return Verdict(bar, state, ratio, against, missing, left_out, by_cpu)
