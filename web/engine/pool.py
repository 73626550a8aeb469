"""The threads: one leads, some are inside a call, the rest wait for either.

Threads are made when they are first needed. At most `size` calls run at once, stuck ones not counted; a lane that
holds no thread may always have one, also beyond `size`, and one that holds some gets more only while over a quarter is
free. So neither a slow nor a hung model takes what the others need.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from web.engine.call import Request

log = logging.getLogger("model_serving.engine")


class Worker:
    """One thread and what it was told to do.

    Attributes:
        lane: Of the call that it is inside of, when that counts against the pool.
        is_stuck: Its call's deadline has passed, and the pool does without it.
    """

    __slots__ = ("gate", "is_stuck", "lane", "task", "thread")

    def __init__(self, work: Callable[[Worker], None], number: int) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.task: Any = None
        self.lane: Any = None
        self.is_stuck = False
        self.thread = threading.Thread(target=work, args=(self,), name=f"serving-{number}", daemon=True)

    def assign(self, task: Any) -> None:
        """Let the thread, which waits, go on with *task*."""
        self.task = task
        self.gate.release()


class Pool:
    """Who may have a thread, and who has one. Every method may be called from any thread.

    Attributes:
        busy: Threads inside a call that counts.
        stuck: Threads inside a call that was given up.
        total: All of them.
    """

    def __init__(self, size: int, work: Callable[[Worker], None]) -> None:
        self._size = size
        self._work = work
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._held: dict[Any, int] = {}
        self._ready: deque[Request] = deque()
        self._is_stopping = False
        self._made = 0
        self.busy = 0
        self.stuck = 0

    @property
    def total(self) -> int:
        """How many threads there are."""
        return len(self._workers)

    def launch(self, request: Request) -> None:
        """Run *request*, which has its slot, on a thread of its own: now, or when one ends its call."""
        with self._lock:
            worker = self._worker_for(request)
            if worker is None:
                self._ready.append(request)
        if worker is not None:
            worker.assign(request)

    def withdraw(self, request: Request) -> bool:
        """Forget *request* if it still waits for a thread."""
        with self._lock:
            if request not in self._ready:
                return False
            self._ready.remove(request)
            return True

    def vacate(self, worker: Worker) -> Request | None:
        """End the call of *worker*; return what it runs next, or None when it is free."""
        with self._lock:
            self._release(worker)
            return self._next_for(worker)

    def recover(self, worker: Worker) -> None:
        """End the call of *worker* after a failure that should not have been, if it still counts as inside one."""
        with self._lock:
            if worker.is_stuck or isinstance(worker.task, Request):
                self._release(worker)

    def rest(self, worker: Worker) -> bool:
        """Let *worker*, which is free, wait for a task; False when it is one too many and shall end."""
        with self._lock:
            if self._is_stopping or len(self._workers) - self.stuck > self._size + 1:
                self._workers.discard(worker)
                return False
            self._idle.append(worker)
            return True

    def standby(self) -> Worker | None:
        """Return a free thread that may be given the lead, or None when none can be made."""
        with self._lock:
            return self._take()

    def adopt(self, worker: Worker, request: Request) -> None:
        """Count *worker*, which led, as inside the call of *request*."""
        with self._lock:
            self._occupy(worker, request)

    def mark_stuck(self, request: Request) -> None:
        """Do without the thread that is inside *request*; the next one in line gets a thread instead."""
        launched = []
        with self._lock:
            for worker in self._workers:
                if worker.task is request:
                    self._release(worker)
                    worker.is_stuck = True
                    self.stuck += 1
                    break
            while (waiting := self._first_ready()) is not None:
                following = self._worker_for(waiting)
                if following is None:
                    self._ready.appendleft(waiting)
                    break
                launched.append((following, waiting))
        for following, waiting in launched:
            following.assign(waiting)

    def stop(self) -> list[threading.Thread]:
        """End the free threads, and each other one when its call ends; return those that will end at once."""
        with self._lock:
            self._is_stopping = True
            idle, self._idle = self._idle, []
            self._workers.difference_update(idle)
        for worker in idle:
            worker.assign(None)
        return [worker.thread for worker in idle]

    def _worker_for(self, request: Request) -> Worker | None:
        if not self._may_start(request.lane):
            return None
        worker = self._take()
        if worker is not None:
            self._occupy(worker, request)
        return worker

    def _take(self) -> Worker | None:
        if self._idle:
            return self._idle.pop()
        self._made += 1
        worker = Worker(self._work, self._made)
        try:
            worker.thread.start()
        except RuntimeError:
            log.exception("no further thread can be started", extra={"threads": len(self._workers)})
            return None
        self._workers.add(worker)
        return worker

    def _may_start(self, lane: Any) -> bool:
        return not self._held.get(lane) or (self._size - self.busy) * 4 > self._size

    def _occupy(self, worker: Worker, request: Request) -> None:
        worker.task, worker.lane = request, request.lane
        self._held[request.lane] = self._held.get(request.lane, 0) + 1
        self.busy += 1

    def _release(self, worker: Worker) -> None:
        worker.task = None
        if worker.is_stuck:
            worker.is_stuck = False
            self.stuck -= 1
            return
        left = self._held[worker.lane] - 1
        if left:
            self._held[worker.lane] = left
        else:
            del self._held[worker.lane]
        self.busy -= 1
        worker.lane = None

    def _next_for(self, worker: Worker) -> Request | None:
        request = self._first_ready()
        if request is not None:
            self._occupy(worker, request)
        return request

    def _first_ready(self) -> Request | None:
        for place, request in enumerate(self._ready):
            if self._may_start(request.lane):
                del self._ready[place]
                return request
        return None
