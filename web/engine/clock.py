"""Takes the lead away from a thread that is inside one call for too long.

The only part that runs while the leader is inside a model: every few milliseconds it looks whether that is still the
same call. Without such calls it is parked and costs nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading

from web.engine.call import Request
from web.engine.calls import Calls
from web.engine.pool import Pool

log = logging.getLogger("model_serving.engine")

#: Between two looks while calls in place have lately been too long, and while they have not. A look takes the
#: interpreter lock from the leader, on a second CPU half a millisecond of its time.
TICK_SECONDS = 0.005
CALM_SECONDS = 0.05
#: For so many looks after the lead was taken from a thread the short time holds.
ALERT_TICKS = 200
#: Ticks without a call before the clock parks; waking it costs the leader some microseconds.
PATIENCE = 20


class Clock:
    """The thread that watches the thread in the lead."""

    def __init__(self, pool: Pool, lead: object) -> None:
        """Make the clock.

        Args:
            pool: Where another thread comes from.
            lead: The task that makes a thread the leader.
        """
        self._pool = pool
        self._lead = lead
        self._calls: Calls | None = None
        self._gate = threading.Lock()
        self._gate.acquire()
        self._is_stopping = False
        self._alert = 0
        self._thread = threading.Thread(target=self._run, name="serving-clock", daemon=True)

    def start(self, calls: Calls) -> None:
        """Begin to watch."""
        self._calls = calls
        self._thread.start()

    def wake(self) -> None:
        """Look again: the leader has entered a call."""
        if self._calls is not None:
            self._calls.clock_is_parked = False
        with contextlib.suppress(RuntimeError):  # it was woken already
            self._gate.release()

    def stop(self) -> None:
        """End the thread."""
        self._is_stopping = True
        self.wake()
        self._thread.join()

    def _run(self) -> None:
        seen: Request | None = None
        quiet = 0
        while not self._is_stopping:
            try:
                seen, quiet = self._tick(seen, quiet)
            except Exception:  # a clock that died would let one hung call stop the server
                log.exception("the clock failed")
                seen = None
            quiet = self._wait(quiet)

    def _tick(self, seen: Request | None, quiet: int) -> tuple[Request | None, int]:
        calls = self._calls
        request = calls.current if calls is not None else None
        if request is None:
            return None, quiet + 1
        if request is seen:
            self._promote(request)
            return None, 0
        return request, 0

    def _promote(self, request: Request) -> None:
        standby = self._pool.standby()
        if standby is None or self._calls is None:
            return
        if self._calls.rescue(request, standby):
            self._alert = ALERT_TICKS
            standby.assign(self._lead)
        elif not self._pool.rest(standby):
            standby.assign(None)

    def _wait(self, quiet: int) -> int:
        calls = self._calls
        if quiet < PATIENCE or calls is None:
            self._gate.acquire(timeout=TICK_SECONDS if self._alert else CALM_SECONDS)
            self._alert = max(self._alert - 1, 0)
            return quiet
        calls.clock_is_parked = True
        if calls.current is None and not self._is_stopping:
            self._gate.acquire()
        calls.clock_is_parked = False
        return 0
