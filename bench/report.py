"""The outcome as Markdown for people and as JSON for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.arithmetic import Spread, spread
from bench.bars import Verdict
from bench.cases import Case
from bench.environments import packages
from bench.measurements import RATE, Measurements
from bench.peers.catalog import OURS, Peer, title_of
from bench.proc import Cores, processor
from bench.rounds import Options

BEGIN, END = "<!-- make bench-server: begin -->", "<!-- make bench-server: end -->"
_OWN = ("fastapi", "uvicorn", "mlflow", "scikit-learn", "numpy", "pandas", "pydantic")
_END_LENGTH = 150
_OWN_CORE = 0.9  # from this share on, the core counts as the server's own


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the numbers depend on. Load averages are those of one minute, before and after."""

    date: str
    processor: str
    cores: int
    pinned: bool
    python: str
    versions: Mapping[str, str]
    load_before: float
    load_after: float


def surroundings(
    date: str, cores: Cores, load_before: float, peers: Iterable[Peer]
) -> Surroundings:
    """As they are now; ``date`` and ``load_before`` are of the run's begin."""
    versions = {name: importlib.metadata.version(name) for name in _OWN}
    versions |= {_brand(peer): _pinned(peer) for peer in peers if peer.package}
    return Surroundings(
        date=date,
        processor=processor(),
        cores=os.cpu_count() or 1,
        pinned=cores.separate,
        python=platform.python_version(),
        versions=versions,
        load_before=load_before,
        load_after=os.getloadavg()[0],
    )


def as_document(
    found: Measurements, verdicts: Sequence[Verdict], around: Surroundings, options: Options
) -> dict[str, Any]:
    """Everything, with the values of every round."""
    return {
        "surroundings": asdict(around),
        "options": asdict(options),
        "rounds": found.rounds,
        "bars": [asdict(verdict) for verdict in verdicts],
        "values": [
            {
                "case": case,
                "metric": asdict(metric),
                "target": target,
                "rounds": {str(number): value for number, value in values.items()},
                "ratio": found.ratio(case, metric, OURS, target),
            }
            for (case, metric, target), values in found.values.items()
        ],
        "requests": found.requests,
        "errors": found.errors,
        "first_errors": found.first_errors,
        "core_shares": found.core_shares,
        "generator": found.generator,
        "missing": [
            {"case": case, "target": target, "reason": reason}
            for (case, target), reason in found.missing.items()
        ],
    }


def as_markdown(
    found: Measurements,
    verdicts: Sequence[Verdict],
    cases: Sequence[Case],
    around: Surroundings,
    options: Options,
) -> str:
    """The bars, a table for every case, and what the run depended on."""
    parts = [_circumstances(found, around, options), _bars(verdicts)]
    parts += [_case(found, case) for case in cases]
    if found.missing:
        parts.append(_missing(found))
    return "\n\n".join(parts)


def write(file: Path, text: str) -> None:
    """Put ``text`` between the markers in ``file``.

    Raises:
        ValueError: it has no such markers.
    """
    before, after = around_markers(file)
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def around_markers(file: Path) -> tuple[str, str]:
    """What stands before and after the part that ``write`` replaces.

    Raises:
        ValueError: it has no such markers.
    """
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no lines {BEGIN!r} and {END!r}")
    return before, after


def _brand(peer: Peer) -> str:
    return peer.title.partition(",")[0]


def _pinned(peer: Peer) -> str:
    lines = packages(peer.environment).splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{peer.package}=="))


def _circumstances(found: Measurements, around: Surroundings, options: Options) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in around.versions.items())
    shares = {name: median(values) for name, values in found.core_shares.items()}
    low = {name: share for name, share in shares.items() if share < _OWN_CORE}
    lines = [
        f"{around.date}; {around.cores} cores of {around.processor}, "
        + ("server and load on one each" if around.pinned else "server and load share one")
        + f"; load average {around.load_before:.1f} before and {around.load_after:.1f} after; "
        f"{found.rounds} rounds, {options.seconds:g} s per measurement; Python {around.python}, {versions}.",
    ]
    total, errors = sum(found.requests.values()), sum(found.errors.values())
    lines.append(f"{total:,} requests, {errors:,} errors or wrong answers.")
    lines += [
        f"{title_of(name)}: {count:,} errors, the first: {found.first_errors[name]}"
        for name, count in found.errors.items()
        if count
    ]
    lines += _differences(found)
    if found.generator:
        most = max(median(values) for values in found.generator.values())
        lines.append(f"The load generator used at most {most:.0%} of its core (median per server).")
    if low:
        text = ", ".join(f"{title_of(name)} {share:.0%}" for name, share in low.items())
        lines.append(
            f"Less than {_OWN_CORE:.0%} of the core under full load: {text}. Either others used it, "
            "or the server waited."
        )
    return "\n".join(lines)


def _bars(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        bar = verdict.bar
        ratios = [
            "" if value is None else _number(value) for value in (verdict.ratio, verdict.by_cpu)
        ]
        notes = [f"not measured: {', '.join(verdict.missing)}"] if verdict.missing else []
        notes += [f"not asked: {', '.join(verdict.left_out)}"] if verdict.left_out else []
        note = f" ({'; '.join(notes)})" if notes else ""
        against = title_of(verdict.against)
        rows.append([bar.title, bar.text, *ratios, against, f"{verdict.state}{note}"])
    return _table(["what", "times", "is", "by CPU", "of", ""], rows, left=(0, 1, 4, 5))


def _case(found: Measurements, case: Case) -> str:
    """Medians, and the median of the rounds' ratios for what is compared."""
    rows = []
    targets = dict.fromkeys(target for name, _, target in found.values if name == case.name)
    for target in targets:
        cells = [title_of(target)]
        cells += [_cell(found.spread(case.name, metric, target)) for metric in case.metrics]
        ratio = found.ratio(case.name, case.compared, OURS, target)
        cells.append("" if ratio is None or target == OURS else _number(ratio))
        rows.append(cells)
    heads = ["", *(metric.title for metric in case.metrics), "ours is, times"]
    table = _table(heads, rows, left=(0,)) if rows else "nothing measured"
    return f"**{case.title}**\n\n{table}"


def _missing(found: Measurements) -> str:
    by_reason: dict[str, list[str]] = {}
    for (case, target), reason in found.missing.items():
        by_reason.setdefault(reason, []).append(f"{target} ({case})")
    lines = [
        f"- {', '.join(names)}: {_ends(' '.join(reason.split()))}"
        for reason, names in by_reason.items()
    ]
    return "Not measured, or not in every round:\n\n" + "\n".join(lines)


def _ends(text: str) -> str:
    """Begin and end of what may be a whole log."""
    return text if len(text) <= 2 * _END_LENGTH else f"{text[:_END_LENGTH]} … {text[-_END_LENGTH:]}"


def _differences(found: Measurements) -> list[str]:
    """How far apart the rates of the rounds are, where that is most."""
    apart = {}
    for (case, metric, target), values in found.values.items():
        if metric == RATE and len(values) > 1:
            rates = spread(list(values.values()))
            apart[target, case] = (rates.high - rates.low) / rates.median
    if not apart:
        return []
    (target, case), most = max(apart.items(), key=lambda item: item[1])
    text = f"Between the rounds, the rates of one server were at most {most:.0%} apart"
    return [f"{text} ({title_of(target)}, {case})."]


def _cell(values: Spread | None) -> str:
    return "-" if values is None else _number(values.median)


def _number(value: float) -> str:
    """Three digits or more, never an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """A Markdown table that can be read without a renderer, too."""
    widths = [max(3, *(len(row[n]) for row in (heads, *rows))) for n in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if number in left else "-" * (width - 1) + ":"
        for number, width in enumerate(widths)
    ]
    return "\n".join([line(heads), line(rule), *(line(row) for row in rows)])
