"""Tells what is being done and how long the rest will take, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from bench.plan import Step

_TELL_SECONDS = 15.0  # between lines, where they cannot be overwritten
_TRUST_SECONDS = 30.0  # the plan is believed as if so much of it had come true
_WIDTH = 100


class Progress:
    """``begin`` and ``done`` of each step in the order of the plan."""

    def __init__(self, steps: Sequence[Step], rounds: int) -> None:
        self._expected = sum(step.seconds for step in steps)
        self._rounds = rounds
        self._behind = 0.0  # seconds that the steps so far were expected to take
        self._start = time.monotonic()
        self._told = -_TELL_SECONDS
        self._overwrite = sys.stderr.isatty()

    def begin(self, step: Step) -> None:
        """Tell it, if it is time to."""
        now = time.monotonic()
        if not self._overwrite and now - self._told < _TELL_SECONDS:
            return
        self._told = now
        left = remaining(self._expected, self._behind, now - self._start)
        text = f"bench: round {step.round + 1} of {self._rounds}, {left} left; {step.text}"
        if self._overwrite:
            sys.stderr.write(f"\r{text[:_WIDTH]:<{_WIDTH}}")
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def done(self, step: Step) -> None:
        """Count it."""
        self._behind += step.seconds

    def end(self) -> None:
        """Leave the line to others."""
        if self._overwrite:
            sys.stderr.write(f"\r{'':<{_WIDTH}}\r")


def remaining(expected: float, behind: float, elapsed: float) -> str:
    """The time left, when ``behind`` of ``expected`` seconds of work took ``elapsed`` seconds."""
    pace = (elapsed + _TRUST_SECONDS) / (behind + _TRUST_SECONDS)
    seconds = max(0.0, (expected - behind) * pace)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
