"""`/all`: one request becomes one call of every model, side by side.

Each call goes through its model's lane as any other does. Models known to be fast run one after another on the
request's own thread; the rest run on a crew of threads that only this has, so `/all` never waits for a thread of the
pool that it holds one of.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from loader.errors import DeadlineExceeded, Overloaded, ServingError
from loader.lane import Admission
from loader.registry import Entry
from web.encoding import decode_body
from web.scoring import score

IDLE_SECONDS = 30.0


class Crew:
    """Threads that come when there is work and go when there is none: at most *size*, stuck ones not counted."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._condition = threading.Condition()
        self._work: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._idle = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run *work* on a thread of the crew, as soon as one is free."""
        with self._condition:
            self._work.append(work)
            if self._idle >= len(self._work):
                self._condition.notify()
            elif self._threads < self._size:
                self._start()

    def replace_stuck(self) -> None:
        """Make up for a thread whose call is past its deadline."""
        with self._condition:
            self._threads -= 1
            if self._work:
                self._start()

    def return_stuck(self) -> None:
        """Count a thread again whose stuck call has returned."""
        with self._condition:
            self._threads += 1

    def _start(self) -> None:
        self._threads += 1
        threading.Thread(target=self._run, name="all-models", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._idle += 1
                has_work = self._condition.wait_for(lambda: self._work, IDLE_SECONDS)
                self._idle -= 1
                if not has_work or self._threads > self._size:
                    self._threads -= 1
                    return
                work = self._work.popleft()
            work()
            del work


class Part:
    """One model's part of one `/all`: a ticket in that model's lane.

    Attributes:
        answer: The model's JSON, once it is there.
        error: What went wrong instead.
    """

    def __init__(self, entry: Entry, body: bytes, request_id: str, crew: Crew) -> None:
        self.entry = entry
        self.version: Any = None
        self.is_stuck = False
        self.answer: bytes | None = None
        self.error: ServingError | None = None
        self.done = threading.Event()
        self._body = body
        self._request_id = request_id
        self._crew = crew
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Enter the lane: run here when the model is fast, else on the crew, else wait for a slot."""
        admission = self.entry.lane.enter(self)
        if admission is Admission.FULL:
            self.error = Overloaded(
                "too many calls wait for this model", model=self.entry.name, retry_after_seconds=1
            )
            self.done.set()
        elif admission is Admission.RUN and (self.version is None or self.entry.lane.is_fast):
            self.run()
        elif admission is Admission.RUN:
            self.resume()

    def resume(self) -> None:
        """Run on the crew: a slot is held now."""
        self._crew.submit(self.run)

    def run(self) -> None:
        """Score, give the slot back, and let the next waiting call have it."""
        try:
            answer: bytes | None = score(self.entry, self, decode_body(self._body), self._request_id)
            error = None
        except ServingError as raised:
            answer, error = None, raised
        with self._lock:
            if not self.done.is_set():
                self.answer, self.error = answer, error
                self.done.set()
        if self.is_stuck:
            self._crew.return_stuck()
        following = self.entry.lane.leave(self)
        if following is not None:
            following.resume()

    def expire(self) -> None:
        """The deadline has passed: a call that waits will never run, one that runs is stuck and its result dropped."""
        name = self.entry.name
        if self.entry.lane.cancel(self):
            self.error = Overloaded(
                "the call waited for its whole deadline", model=name, retry_after_seconds=1
            )
            self.done.set()
            return
        with self._lock:
            if self.done.is_set():
                return
            self.error = DeadlineExceeded("the model did not answer in time", model=name)
            self.done.set()
            self.entry.lane.mark_stuck(self)
        self._crew.replace_stuck()


def run_all(
    entries: list[Entry],
    body: bytes,
    request_id: str,
    deadline: float,
    crew: Crew,
) -> list[Part]:
    """Call every model and return the parts, all of them done, at *deadline* (monotonic) at the latest.

    Each model gets variables of its own from *body*: what one changes in them, the others must not see.

    Raises:
        BodyMalformed, VariablesInvalid: As `web.encoding.decode_body`; then no model is called.
    """
    decode_body(body)
    parts = [Part(entry, body, request_id, crew) for entry in entries]
    for part in sorted(
        parts, key=lambda part: part.entry.lane.is_fast
    ):  # slow ones first: they run meanwhile
        part.begin()
    for part in parts:
        if not part.done.wait(max(deadline - time.monotonic(), 0)):
            part.expire()
    return parts
