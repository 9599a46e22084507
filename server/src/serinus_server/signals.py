"""What signals do before there is a server: end the process at once, as there is nothing to drain.

Standard library only, so that it can be imported before anything that takes time.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def end_at_once() -> None:
    """Let SIGTERM and SIGINT end the process with exit code 0 from now on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    # Not an exception: raised in the midst of an import it would be caught, or become a stack trace.
    logging = sys.modules.get("logging")
    for handler in logging.getLogger().handlers if logging is not None else ():
        handler.flush()
    os._exit(0)
