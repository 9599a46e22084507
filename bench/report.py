"""The outcome as a table for people and as JSON for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.arithmetic import Spread, paired_ratio, spread
from bench.proc import Cores, processor
from bench.rounds import Measurements, Options
from bench.servers import OURS, PEER

_PACKAGES = ("fastapi", "uvicorn", "mlflow", "scikit-learn", "numpy", "pandas", "pydantic")
_WIDTH = 120
_OWN_CORE = 0.9  # from this share on, the core counts as the server's own


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the numbers depend on. Load averages are those of one minute, before and after."""

    date: str
    processor: str
    cores: int
    pinned: bool
    python: str
    versions: dict[str, str]
    load_before: float
    load_after: float


def surroundings(date: str, cores: Cores, load_before: float) -> Surroundings:
    """As they are now; ``date`` and ``load_before`` are of the run's begin."""
    return Surroundings(
        date=date,
        processor=processor(),
        cores=os.cpu_count() or 1,
        pinned=cores.separate,
        python=platform.python_version(),
        versions={name: importlib.metadata.version(name) for name in _PACKAGES},
        load_before=load_before,
        load_after=os.getloadavg()[0],
    )


def as_document(found: Measurements, around: Surroundings, options: Options) -> dict[str, Any]:
    """Everything, with the values of every round."""
    results = [
        {
            "model": case,
            "metric": metric.name,
            "unit": metric.unit,
            "better": "higher" if metric.higher_is_better else "lower",
            "rounds": values,
            **{name: asdict(spread(values[name])) for name in (OURS, PEER)},
            "ratio": paired_ratio(values[OURS], values[PEER]),
        }
        for (case, metric), values in found.values.items()
    ]
    return {
        "surroundings": asdict(around),
        "options": asdict(options),
        "rounds": found.rounds,
        "requests": found.requests,
        "errors": found.errors,
        "core_shares": found.core_shares,
        "results": results,
    }


def show(found: Measurements, around: Surroundings, options: Options) -> None:
    """Print the table, which is also valid Markdown."""
    table = Table(box=box.MARKDOWN)
    for title in ("model", "metric", "unit"):
        table.add_column(title, no_wrap=True)
    for title in (f"{OURS} median (min-max)", f"{PEER} median (min-max)", "ratio", "better"):
        table.add_column(title, justify="right", no_wrap=True)
    for (case, metric), values in found.values.items():
        table.add_row(
            case,
            metric.name,
            metric.unit,
            _cell(spread(values[OURS])),
            _cell(spread(values[PEER])),
            f"{paired_ratio(values[OURS], values[PEER]):.2f}",
            "higher" if metric.higher_is_better else "lower",
        )
    shares = {name: median(values) for name, values in found.core_shares.items()}
    console = Console(width=_WIDTH, highlight=False)
    console.print(table)
    versions = ", ".join(f"{name} {version}" for name, version in around.versions.items())
    pins = "server and load on a core each" if around.pinned else "server and load share one core"
    console.print(
        f"{found.rounds} round(s), {options.seconds:g} s per measurement; "
        f"ratio: {OURS}/{PEER}, median of the rounds' ratios.\n"
        f"Requests: {found.requests[OURS]:,} and {found.requests[PEER]:,}; "
        f"errors: {found.errors[OURS]} and {found.errors[PEER]}; every answer equal to "
        f"mlflow.pyfunc's, unless counted as an error.\n"
        f"{around.date}; {around.processor}, {around.cores} cores, {pins}; load average "
        f"{around.load_before:.1f} before and {around.load_after:.1f} after;\n"
        f"under load the servers got "
        f"{shares[OURS]:.0%} and {shares[PEER]:.0%} of their core (median; low: others used it).\n"
        f"Python {around.python}, {versions}.",
        soft_wrap=True,
    )
    if min(shares.values()) < _OWN_CORE:
        console.print(
            "Others used the servers' core: compare the CPU times per request first. Rates, latencies "
            "and starts\nalso say what the others did meanwhile.",
            soft_wrap=True,
        )


def _cell(values: Spread) -> str:
    return f"{_number(values.median)} ({_number(values.low)}-{_number(values.high)})"


def _number(value: float) -> str:
    """Three digits or more, never an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
