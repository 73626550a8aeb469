"""The end of the server, in phases: say so, stop listening, finish what was begun, give up."""

from __future__ import annotations

import time

#: What a connection that was just accepted gets to send its request once the listening socket is closed.
FRESH_SECONDS = 1.0
#: What a handshake that has begun gets to end before the listening socket is closed.
SETTLE_SECONDS = 0.1


class Drain:
    """When each phase of the end begins, by `time.monotonic()`.

    Attributes:
        is_asked: Answers say `Connection: close`.
        closes_listener: No connection is taken any more from then on; moves once, when clients are turned away.
        turns_away: No new connection begins any more; those that have begun are still taken.
        listener_closed: When that was done.
        ends: Whatever is unfinished then is given up.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self.closes_listener: float | None = None
        self.turns_away = False
        self.ends: float | None = None
        self.listener_closed: float | None = None

    def ask(self, delay_seconds: float, deadline_seconds: float) -> None:
        """Begin the end; a second call changes nothing but may bring the times forward."""
        now = time.monotonic()
        self.ends = earlier(self.ends, now + deadline_seconds)
        self.closes_listener = earlier(self.closes_listener, min(now + delay_seconds, self.ends))
        self.is_asked = True

    def next_step(self) -> float | None:
        """Return when the next phase begins, or None."""
        if not self.is_asked:
            return None
        return self.closes_listener if self.listener_closed is None else self.ends

    def is_over(self, now: float) -> bool:
        """Tell whether what is unfinished is given up now."""
        return self.is_asked and self.ends is not None and now >= self.ends


def earlier(first: float | None, second: float) -> float:
    """Return the earlier of two times, of which the first may not be set."""
    return second if first is None else min(first, second)
