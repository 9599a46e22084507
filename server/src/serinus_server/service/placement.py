"""Where the model is called: on the event loop while it is quick there, else in threads.

The way to a thread and back costs 50 us, more than many models. A slow call on the event loop
would keep health checks and all other requests waiting. So the loop calls only what was measured
as quick when it was loaded, and only for as long as it stays so.
"""

from __future__ import annotations

import time

# Seconds that a call may take. Three times what counts as quick at load; health does not notice it.
ALLOWED = 0.001

# Seconds by which calls may exceed that, in all; what calls take less is given back. A slow model
# is found out after a few calls, a very slow one after the first. One that loses the processor now
# and then is not: neighbours cost time by the clock, and now and then computing time, too.
CPU_CREDIT = 0.010
CLOCK_CREDIT = 0.200


class Placement:
    """Watches the calls on the event loop, and ends them for good when they are slow."""

    __slots__ = ("_begin", "_clock_excess", "_cpu", "_cpu_excess", "on_loop", "quick_rows")

    def __init__(self, quick_rows: int) -> None:
        self.on_loop = quick_rows > 0
        self.quick_rows = quick_rows  # at most so many in one call on the loop
        self._cpu_excess = 0.0
        self._clock_excess = 0.0
        self._begin = 0.0
        self._cpu = 0.0

    def begin(self) -> None:
        """A call on the loop begins."""
        self._cpu = time.thread_time()
        self._begin = time.perf_counter()

    def end(self) -> float:
        """The call has ended; the seconds that it took by the clock."""
        took = time.perf_counter() - self._begin
        self.judge(took, took if took <= ALLOWED else time.thread_time() - self._cpu)
        return took

    def judge(self, clock: float, cpu: float) -> None:
        """Take account of a call of ``clock`` seconds, in which ``cpu`` seconds were computed."""
        self._cpu_excess = max(0.0, self._cpu_excess + cpu - ALLOWED)
        self._clock_excess = max(0.0, self._clock_excess + clock - ALLOWED)
        self.on_loop = self._cpu_excess < CPU_CREDIT and self._clock_excess < CLOCK_CREDIT
