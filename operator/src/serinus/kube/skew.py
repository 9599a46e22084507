"""How far our clock is from the API server's, by the ``Date`` of its answers.

A clock that is wrong makes wrong windows of evidence and wrong times in the status. Nothing is
corrected by what is found here; it is for people and for guards.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

ANSWERS = 16
_RESOLUTION = timedelta(seconds=1)  # of the header, which drops what is below


class Skew:
    """What the last answers prove.

    A server that says ``Date`` had a time between that and a second later, at some moment between our
    sending and our receiving. So each answer gives a least and a greatest skew, and several answers give
    what all of them allow. Answers that contradict each other mean that a clock was set: then the latest
    one counts alone.
    """

    def __init__(self) -> None:
        self._bounds: deque[tuple[timedelta, timedelta]] = deque(maxlen=ANSWERS)

    def heard(self, date: str | None, sent: datetime, received: datetime) -> None:
        """An answer with this ``Date`` header, sent and received by our clock; without one it is ignored."""
        try:
            told = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if told.tzinfo is None or received < sent:
            return
        bounds = (sent - told - _RESOLUTION, received - told)
        self._bounds.append(bounds)
        least, greatest = self._common()
        if least > greatest:
            self._bounds.clear()
            self._bounds.append(bounds)

    def __call__(self) -> timedelta:
        """The smallest skew that explains every answer: positive when our clock is ahead, 0 when it may be right.

        Off by at most a second and the time of the quickest answer, always toward 0.
        """
        if not self._bounds:
            return timedelta(0)
        least, greatest = self._common()
        return max(least, timedelta(0)) + min(greatest, timedelta(0))

    def _common(self) -> tuple[timedelta, timedelta]:
        return max(low for low, _ in self._bounds), min(high for _, high in self._bounds)
