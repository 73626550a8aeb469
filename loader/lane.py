"""How many calls of one model run and wait: slots belong to a version, the queue belongs to the name.

A waiting call holds no thread. It is a ticket in the lane's queue, and whoever frees a slot takes the next ticket
along; so at a swap the waiting calls go to the new version. A lane also counts what happened to its calls: plain
integers under the lock that every call takes anyway, read at scrape time.
"""

from __future__ import annotations

import enum
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

#: Upper bounds of the duration histogram, in seconds.
BUCKETS_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0)
#: Calls shorter than this may run on the thread that polls the connections.
FAST_SECONDS = 0.001
#: Weight of the newest call in the moving average that decides `is_fast`.
NEWEST = 0.1
#: More than this of one call does not count: a call during which the whole process stood still says nothing about the
#: model, and one outlier must not send a burst of its calls to other threads, where they find the slot taken.
MOST_SECONDS = 5 * FAST_SECONDS
OUTCOMES = ("ok", "invalid", "error", "rejected", "expired", "timeout")


class Admission(enum.Enum):
    """What a lane says to a call that wants in."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


# Looked up once: in Python 3.11 each access through the class costs as much as a small function call.
RUN, WAIT, FULL = Admission.RUN, Admission.WAIT, Admission.FULL


class Ticket(Protocol):
    """One call that wants a slot."""

    #: What the call shall run on; the lane sets it when it gives the slot.
    version: Any
    #: The deadline passed while it ran; the lane sets it.
    is_stuck: bool

    def resume(self) -> None:
        """Run the call, which waited and now holds a slot; called on any thread, must not block."""


class Slots(Protocol):
    """What a lane keeps for each version; only the lane touches the three counters."""

    concurrency: int
    running: int
    stuck: int
    is_retired: bool


class Lane:
    """The calls of one model name.

    Every method may be called from any thread and none blocks for longer than a few assignments.

    Attributes:
        is_fast: Recent calls took less than `FAST_SECONDS`.
        running: Calls inside a version now, stuck ones included.
        stuck: Those of them whose deadline has passed.
    """

    def __init__(
        self,
        queue_size: int,
        retire: Callable[[Any, bool], None],
        wedged: Callable[[Any], None],
    ) -> None:
        """Make a lane without a version; the two callbacks come on any thread and must not block.

        Args:
            queue_size: How many tickets may wait.
            retire: Called once with a replaced version after its last call, and with whether stuck calls remain
                inside it.
            wedged: Called with the current version when stuck calls hold its every slot.
        """
        self._queue_size = queue_size
        self._retire = retire
        self._wedged = wedged
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Ticket, float]] = deque()
        self._version: Any = None
        self._average_seconds = FAST_SECONDS
        self.is_fast = False
        self.running = 0
        self.stuck = 0
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.buckets = [0] * (len(BUCKETS_SECONDS) + 1)
        self.duration_seconds = 0.0
        self.waited_seconds = 0.0
        self.waited_count = 0

    @property
    def waiting(self) -> int:
        """Calls in the queue now."""
        return len(self._waiting)

    @property
    def version(self) -> Any:
        """The version that new calls get, or None."""
        return self._version

    def enter(self, ticket: Ticket) -> Admission:
        """Give *ticket* a slot of the current version, a place in the queue, or neither.

        Without a version the ticket may RUN with None, to be told so.
        """
        with self._lock:
            version: Slots | None = self._version
            ticket.version = version
            if version is None:
                return RUN
            if version.running < version.concurrency:
                version.running += 1
                self.running += 1
                self.waited_count += 1
                return RUN
            if len(self._waiting) < self._queue_size:
                self._waiting.append((ticket, time.monotonic()))
                return WAIT
            self.outcomes["rejected"] += 1
            return FULL

    def leave(self, ticket: Ticket) -> Ticket | None:
        """End the call of *ticket*, which held a slot; return the next one, which holds a slot now, to be run."""
        version = ticket.version
        if version is None:
            return None
        with self._lock:
            version.running -= 1
            self.running -= 1
            if ticket.is_stuck:
                version.stuck -= 1
                self.stuck -= 1
            following = self._admit_next()
            retired = self._retires(version)
        if retired:
            self._retire(version, version.stuck > 0)
        return following

    def cancel(self, ticket: Ticket) -> bool:
        """Forget *ticket* if it still waits: it will never run. False when it runs already or is over."""
        with self._lock:
            for place, (waiting, _) in enumerate(self._waiting):
                if waiting is ticket:
                    del self._waiting[place]
                    self.outcomes["expired"] += 1
                    return True
        return False

    def mark_stuck(self, ticket: Ticket) -> None:
        """Note that the deadline of *ticket* passed while it ran; it keeps its slot until `leave`."""
        version = ticket.version
        if version is None:
            return
        with self._lock:
            ticket.is_stuck = True
            version.stuck += 1
            self.stuck += 1
            self.outcomes["timeout"] += 1
            retired = self._retires(version)
            is_wedged = version is self._version and version.stuck >= version.concurrency
        if retired:
            self._retire(version, True)
        elif is_wedged:
            self._wedged(version)

    def publish(self, version: Any, expected_seconds: float | None = None) -> Any:
        """Make *version* the one that gets new and waiting calls; return the one that it replaces.

        Args:
            version: The new version, or None to serve none any more: the waiting calls then run into None.
            expected_seconds: How long a call takes, where a warm-up has measured it.
        """
        with self._lock:
            replaced, self._version = self._version, version
            self._average_seconds = FAST_SECONDS if expected_seconds is None else expected_seconds
            self.is_fast = version is None or self._average_seconds < FAST_SECONDS
            granted = []
            while (ticket := self._admit_next()) is not None:
                granted.append(ticket)
            retired = replaced is not None and self._retires(replaced)
        for ticket in granted:
            ticket.resume()
        if retired:
            self._retire(replaced, replaced.stuck > 0)
        return replaced

    def count(self, outcome: str) -> None:
        """Count one call that did not get as far as the model's code."""
        with self._lock:
            self.outcomes[outcome] += 1

    def record(self, ticket: Any, outcome: str, duration_seconds: float) -> None:
        """Count one call that ran: how it ended, unless its deadline has said so already, and how long it took."""
        with self._lock:
            if not ticket.is_stuck:
                self.outcomes[outcome] += 1
            self.buckets[bisect_left(BUCKETS_SECONDS, duration_seconds)] += 1
            self.duration_seconds += duration_seconds
            self._average_seconds += NEWEST * (min(duration_seconds, MOST_SECONDS) - self._average_seconds)
            self.is_fast = self._average_seconds < FAST_SECONDS

    def _admit_next(self) -> Ticket | None:
        version: Slots | None = self._version
        if not self._waiting or (version is not None and version.running >= version.concurrency):
            return None
        ticket, since = self._waiting.popleft()
        ticket.version = version
        if version is not None:
            version.running += 1
            self.running += 1
            self.waited_count += 1
            self.waited_seconds += time.monotonic() - since
        return ticket

    def _retires(self, version: Any) -> bool:
        if version is self._version or version.is_retired or version.running > version.stuck:
            return False
        version.is_retired = True
        return True
