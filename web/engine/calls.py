"""The way of a call from a complete request to its answer: lanes, threads and deadlines.

Who answers a request is decided by taking it out of `pending`, which only one thread can do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from loader.lane import Admission
from web.engine.call import Environ, Lane, Request
from web.engine.pool import Pool, Worker
from web.engine.replies import Responder
from web.engine.streaming import Stream

log = logging.getLogger("model_serving.engine")

# Looked up once: in Python 3.11 each access through the class costs as much as a small function call.
RUN, WAIT = Admission.RUN, Admission.WAIT

GONE: Any = object()
#: The environ of a request that is answered.
NOTHING: Environ = {}


class Deliver(Protocol):
    """What sends an answer and lets its connection go on."""

    def __call__(self, request: Request, data: bytes) -> None:
        """Send *data*, the rest of the answer to *request*; any thread."""


class Calls:
    """Every request that is complete and not answered.

    Attributes:
        leader: The thread in the lead.
        current: The request that it serves in place.
        pending: All of them, about in the order of their deadlines.
        clock_is_parked: The clock waits to be woken before it looks at `current` again.
    """

    def __init__(
        self,
        pool: Pool,
        responder: Responder,
        lane_for: Callable[[Environ], Lane | None],
        deliver: Deliver,
        wake_clock: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._responder = responder
        self._lane_for = lane_for
        self._deliver = deliver
        self._wake_clock = wake_clock
        # Held while an answer changes hands; whoever finds a request taken waits for it to see what became of it.
        self._handing = threading.Lock()
        self.leader: Worker | None = None
        self.current: Request | None = None
        self.pending: dict[Request, None] = {}
        self.clock_is_parked = False

    def begin(self, worker: Worker, request: Request) -> None:
        """Let *request* run, here or on another thread, or wait; only the leader *worker* calls this."""
        # Before the lane knows the ticket: from then on another thread may resume it.
        self.pending[request] = None
        lane = request.lane = self._lane_of(request)
        if lane is not None:
            request.admission = WAIT
            admission = lane.enter(request)
            if admission is WAIT:
                return
            request.admission = admission
            if admission is RUN and not lane.is_fast:
                self._pool.launch(request)
                return
        self._serve(worker, request)

    def work(self, worker: Worker, request: Request) -> None:
        """Run *request*, and what follows it, on *worker*, which does not lead."""
        self._go_on(worker, self._run(request))

    def resume(self, request: Request) -> None:
        """Run *request*, which waited and holds a slot now."""
        self._pool.launch(request)

    def open_stream(self, request: Request) -> Stream:
        """Send the head of the answer to *request* now and return what takes the body.

        Raises:
            ConnectionResetError: It was answered when its deadline passed.
        """
        stream = self._responder.stream(request)
        with self._handing:
            if request not in self.pending:
                raise ConnectionResetError("The deadline has passed.")
            request.stream = stream
        stream.begin()
        return stream

    def rescue(self, request: Request, standby: Worker) -> bool:
        """Give the lead to *standby* because the leader is inside *request*; False when it no longer is."""
        with self._handing:
            leader = self.leader
            if leader is None or self.pending.pop(request, GONE) is GONE:
                return False
            self._pool.adopt(leader, request)
            self.leader, self.current = standby, None
            self.pending[request] = None
        return True

    def next_deadline(self) -> float | None:
        """Return when the first pending request is due, or None."""
        try:
            return next(iter(self.pending)).deadline
        except StopIteration:
            return None
        except RuntimeError:  # a thread ended its call between the two steps
            return 0.0

    def expire(self, now: float) -> None:
        """Answer what is due by *now*; only the leader calls this."""
        for request in list(self.pending):
            if request.deadline > now:
                return
            self._expire(request)

    def _lane_of(self, request: Request) -> Lane | None:
        try:
            return self._lane_for(request.environ)
        except BaseException:  # a failure here must cost this request alone
            log.exception("the lane of a request could not be told")
            return None

    def _serve(self, worker: Worker, request: Request) -> None:
        """Run *request* on the thread in the lead, which may lose the lead over it."""
        self.current = request
        if self.clock_is_parked:
            self._wake_clock()
        request.has_begun = True
        answer = self._responder.respond(request)
        taken = self.pending.pop(request, GONE) is GONE
        if taken or self.leader is not worker:
            self._go_on(worker, self._conclude(request, answer, is_mine=not taken))
            return
        self.current = None
        request.environ = NOTHING
        self._deliver(request, answer)
        if request.lane is not None and request.admission is RUN:
            following = request.lane.leave(request)
            if following is not None:
                following.resume()

    def _expire(self, request: Request) -> None:
        lane, environ = request.lane, request.environ
        if lane is not None and request.admission is WAIT and lane.cancel(request):
            self.pending.pop(request, None)
            self._answer_deadline(request, environ, is_running=False)
            return
        with self._handing:
            if self.pending.pop(request, GONE) is GONE:
                return
            is_running = request.has_begun
            if is_running:
                if lane is not None and request.admission is RUN:
                    lane.mark_stuck(request)
                self._pool.mark_stuck(request)
        self._answer_deadline(request, environ, is_running=is_running)
        if not is_running and self._pool.withdraw(request):
            following = self._leave(request)
            if following is not None:
                following.resume()

    def _answer_deadline(self, request: Request, environ: Environ, *, is_running: bool) -> None:
        if request.stream is not None:
            request.connection.abort()
            return
        request.keep_alive = False
        self._deliver(request, self._responder.expire(environ, is_running=is_running))

    def _run(self, request: Request) -> Request | None:
        request.has_begun = True
        if request not in self.pending:  # its deadline passed while it had a slot and no thread
            with self._handing:
                pass
            return self._leave(request)
        answer = self._responder.respond(request)
        return self._conclude(request, answer, is_mine=self.pending.pop(request, GONE) is not GONE)

    def _conclude(self, request: Request, answer: bytes, *, is_mine: bool) -> Request | None:
        """Answer with *answer*, or drop them when the deadline was answered; return what follows in the lane."""
        if not is_mine:
            with self._handing:
                is_mine = self.pending.pop(request, GONE) is not GONE or request.stream is not None
        request.environ = NOTHING
        if is_mine:
            self._deliver(request, answer)
        return self._leave(request)

    def _leave(self, request: Request) -> Request | None:
        if request.lane is None or request.admission is not RUN:
            return None
        following = request.lane.leave(request)
        if following is None or isinstance(following, Request):
            return following
        following.resume()
        return None

    def _go_on(self, worker: Worker, following: Request | None) -> None:
        """Run what follows in the lane, then what waits for a thread, until there is nothing for *worker*."""
        while True:
            if following is None or worker.is_stuck:
                if following is not None:
                    following.resume()
                following = self._pool.vacate(worker)
                if following is None:
                    return
            else:
                following.admission = RUN
                worker.task = following
            following = self._run(following)
