"""What was found: values by case, metric, server and round; and what could not be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.arithmetic import Spread, paired_ratio, spread
from bench.load.job import Outcome


@dataclass(frozen=True, slots=True)
class Metric:
    """One kind of value; its name is unique."""

    name: str
    unit: str
    higher_is_better: bool = False

    @property
    def title(self) -> str:
        return f"{self.name}, {self.unit}"


START = Metric("start to first answer", "s")
START_CPU = Metric("CPU time until then", "s")
MEMORY = Metric("memory (RSS)", "MiB")
SHARED = Metric("memory (PSS)", "MiB")
LONE_P50 = Metric("lone request p50", "ms")
LONE_P99 = Metric("lone request p99", "ms")
RATE = Metric("requests", "1/s", higher_is_better=True)  # the best of all concurrencies
CPU = Metric("CPU per request", "µs")  # at that concurrency
STEADY_P50 = Metric("p50 at half of the rate", "ms")
STEADY_P99 = Metric("p99 at half of the rate", "ms")
ROWS = Metric("rows", "1/s", higher_is_better=True)


def rate_at(concurrency: int) -> Metric:
    """The rate with so many requests in flight."""
    return Metric(f"requests, c={concurrency}", "1/s", higher_is_better=True)


Key = tuple[str, Metric, str]  # case, metric, target


@dataclass(slots=True)
class Measurements:
    """Filled while the rounds run. A target is one way to ask one server, such as ``kserve-v2``.

    ``core_shares`` are the parts of a core that a server got while it had more to do than one can:
    far below 1, others were using the core, and the rates say less than the CPU times.
    ``generator`` are the parts of its core that the load generator used meanwhile. ``missing`` has
    what a target could not be measured for, and why.
    """

    values: dict[Key, dict[int, float]] = field(default_factory=dict)
    core_shares: dict[str, list[float]] = field(default_factory=dict)
    generator: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    first_errors: dict[str, str] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    rounds: int = 0

    def add(self, case: str, metric: Metric, target: str, round_: int, value: float) -> None:
        """Book a value. In one round the last one of its kind counts."""
        self.values.setdefault((case, metric, target), {})[round_] = value

    def of(self, case: str, metric: Metric, target: str) -> Mapping[int, float]:
        """The values by round; none when it was not measured."""
        return self.values.get((case, metric, target), {})

    def spread(self, case: str, metric: Metric, target: str) -> Spread | None:
        """Median and extremes of the rounds, if there are any."""
        values = self.of(case, metric, target)
        return spread(list(values.values())) if values else None

    def ratio(self, case: str, metric: Metric, ours: str, theirs: str) -> float | None:
        """The median of the ratios ours/theirs of the rounds that have both, if there are any."""
        own, other = self.of(case, metric, ours), self.of(case, metric, theirs)
        both = sorted(own.keys() & other.keys())
        if not both:
            return None
        return paired_ratio([own[number] for number in both], [other[number] for number in both])

    def count(self, target: str, outcome: Outcome) -> None:
        """Book what the load generator tells about every request."""
        self.requests[target] = self.requests.get(target, 0) + outcome.total
        self.errors[target] = self.errors.get(target, 0) + outcome.errors
        if outcome.first_error:
            self.first_errors.setdefault(target, outcome.first_error)

    def lacks(self, case: str, target: str, reason: str) -> None:
        """Remember why the target has no value; the first reason is the one to tell."""
        self.missing.setdefault((case, target), reason)
