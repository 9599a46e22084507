"""What ends a batch run early."""

from __future__ import annotations

import signal

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
