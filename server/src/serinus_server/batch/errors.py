"""What ends a batch run early."""

from __future__ import annotations

import signal
from types import FrameType

from serinus_server.errors import SerinusServerError


class UsageError(SerinusServerError):
    """The command line does not make sense, or would destroy something."""


class RunFailed(SerinusServerError):
    """The run cannot go on; ``str(error)`` says why in one line."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end. What is on disk stays resumable."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stopper:
    """Raises Stopped where a signal finds the program, and again wherever it is asked to check.

    Python drops an exception that is raised while an object is finalized, and a library may catch
    it, so that once is not enough.
    """

    def __init__(self) -> None:
        self._number: int | None = None

    def install(self) -> None:
        """Handle the signals that ask a process to end, but for those that it is to ignore."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)

    def check(self) -> None:
        """Raise Stopped if a signal came."""
        if self._number is not None:
            raise Stopped(self._number)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
        raise Stopped(number)
