"""The outcome as a Markdown table, and its place in the documentation."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.operator.measure import Options, Result
from bench.proc import processor

BEGIN, END = "<!-- make bench-operator: begin -->", "<!-- make bench-operator: end -->"
_PACKAGES = ("kopf", "kubernetes", "aiohttp", "pydantic")


def table(results: Sequence[Result]) -> str:
    """One column per size, and how the last relates to the first."""
    rows: list[tuple[str, Callable[[Result], float], str]] = [
        (
            "new ones until all serve, per resource, ms",
            lambda r: 1000 * r.new_ready / r.new,
            "{:.0f}",
        ),
        ("start to first spec observed, s", lambda r: r.first_observed, "{:.1f}"),
        ("start to all specs observed, s", lambda r: r.start_to_observed, "{:.1f}"),
        ("at rest: CPU, % of a core", lambda r: 100 * r.rest.cpu, "{:.1f}"),
        ("at rest: memory, MiB", lambda r: r.rest.rss_mib, "{:.0f}"),
        ("at rest: loop lag p99 at most, ms", lambda r: 1000 * r.rest.lag_p99, "{:.0f}"),
        ("at rest: reconciles, 1/s", lambda r: r.rest.reconciles, "{:.1f}"),
        ("at rest: API requests, 1/s", lambda r: r.rest.requests, "{:.0f}"),
        ("at rest: writes, 1/s", lambda r: r.rest.writes, "{:.0f}"),
        ("at rest: the API server's CPU, % of a core", lambda r: 100 * r.rest.server_cpu, "{:.1f}"),
        ("canaries: CPU, % of a core", lambda r: 100 * r.advance.cpu, "{:.1f}"),
        ("canaries: memory, MiB", lambda r: r.advance.rss_mib, "{:.0f}"),
        ("canaries: loop lag p99 at most, ms", lambda r: 1000 * r.advance.lag_p99, "{:.0f}"),
        ("canaries: API requests, 1/s", lambda r: r.advance.requests, "{:.0f}"),
        ("canaries: change to acted on, median, s", lambda r: r.acted_p50, "{:.2f}"),
        ("canaries: change to acted on, worst, s", lambda r: r.acted_max, "{:.2f}"),
        ("canaries: change to promoted, median, s", lambda r: r.promoted_p50, "{:.1f}"),
        ("canaries: change to promoted, worst, s", lambda r: r.promoted_max, "{:.1f}"),
    ]
    heads = [f"{r.size:,} resources" for r in results]
    lines = [
        f"| | {' | '.join(heads)} | growth |",
        f"| --- |{' ---: |' * (len(results) + 1)}",
    ]
    for title, value, form in rows:
        values = [value(r) for r in results]
        cells = ["-" if math.isnan(v) else form.format(v) for v in values]
        grows = len(values) > 1 and values[0] > 0 and not math.isnan(values[-1])
        growth = f"{values[-1] / values[0]:.1f}" if grows else ""
        lines.append(f"| {title} | {' | '.join(cells)} | {growth} |")
    return "\n".join(lines)


def surroundings(date: str, api_server: str, options: Options, load_before: float) -> str:
    """What the numbers depend on, in a sentence or two."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return (
        f"{date}; {os.cpu_count()} cores of {processor()}; {api_server}; Python "
        f"{platform.python_version()}, {versions}. {options.canaries} canaries; "
        f"{options.seconds:g} s at rest; load average {load_before:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after."
    )


def write(file: Path, text: str) -> None:
    """Puts ``text`` between the markers in ``file``.

    Raises:
        ValueError: it has no such markers.
    """
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no lines {BEGIN!r} and {END!r}")
    file.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
