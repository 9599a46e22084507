"""Where the model is called: on the event loop while it is quick there, else in threads.

The way to a thread and back costs 50 us, more than many models. A slow call on the event loop
would keep health checks and all other requests waiting. So the loop calls only what was measured
as quick when it was loaded, and only for as long as it stays so.
"""

from __future__ import annotations

import time

# Seconds. Longer than three times what counts as quick at load; a health check does not notice it.
SLOW = 0.001


class Placement:
    """Watches the calls on the event loop; two slow ones end them for good.

    Slow is what computes for long. Where only the clock says so, the process may just not have had
    the processor, or the model waits for something: then two calls in a row must have been slow.
    """

    def __init__(self, *, quick: bool) -> None:
        self.on_loop = quick
        self._slow_calls = 0
        self._last_was_late = False
        self._wall = 0.0
        self._cpu = 0.0

    def begin(self) -> None:
        """A call on the loop begins."""
        self._wall = time.perf_counter()
        self._cpu = time.thread_time()

    def end(self) -> float:
        """The call has ended; the seconds that it took by the clock."""
        took = time.perf_counter() - self._wall
        if took > SLOW:
            self._slow_calls += time.thread_time() - self._cpu > SLOW
            self.on_loop = self._slow_calls < 2 and not self._last_was_late
        self._last_was_late = took > SLOW
        return took
