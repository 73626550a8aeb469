"""Run loads one after another, so that one that hangs delays the others by no more than the patience.

A load has a thread of its own, and its example another one: what is bound to the thread that made it (an sqlite
connection) must fail here and not at the first request. Threads are reused, so that hundreds of reloads do not
scatter their memory over as many allocator arenas; a thread that hangs is left to its load and replaced.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work on a worker's thread, and how it ended."""

    def __init__(self, work: Callable[[], T], on_late: Callable[[], None]) -> None:
        self._work = work
        self._on_late = on_late
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._is_late = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work; whatever it raises is kept, `SystemExit` included: it is model code."""
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - model code; the one who waits gets it
            self.error = error
        with self._lock:
            self._done.set()
            is_late = self._is_late
        if is_late:
            self._on_late()

    @property
    def is_over(self) -> bool:
        """Whether the work has ended, one way or the other."""
        return self._done.is_set()

    def wait(self, seconds: float | None) -> bool:
        """Wait for the end; False when it did not come in time, and then `on_late` is called once it does."""
        if self._done.wait(seconds):
            return True
        with self._lock:
            self._is_late = not self._done.is_set()
            return not self._is_late


class Worker:
    """A daemon thread that runs jobs in the order in which they come."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Job[object] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, job: Job[T]) -> None:
        """Queue *job*."""
        self._jobs.put(job)  # type: ignore[arg-type]

    def stop(self) -> None:
        """End the thread after the job that it is in."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            del job  # a thread that waits must not keep a model alive


class Loads:
    """Two threads that load, one step of a load on each; made anew when one of them hangs.

    Used by the reloader's thread alone.
    """

    def __init__(self, patience_seconds: float | None) -> None:
        self._patience_seconds = patience_seconds
        self._make_workers()

    def run(
        self, steps: Callable[[Callable[[Callable[[], T]], T]], T], on_late: Callable[[], None]
    ) -> Job[T]:
        """Run *steps* on the loading thread and wait for it, as long as the patience lasts.

        Args:
            steps: The load; it gets a function that runs a callable on the other thread and returns its result.
            on_late: Called on the loading thread if the load ends after this method has returned.

        Returns:
            The job; it has neither result nor error when it still runs.
        """
        rehearsing = self._rehearsing

        def elsewhere(step: Callable[[], T]) -> T:
            other = Job(step, lambda: None)
            rehearsing.submit(other)
            other.wait(None)
            if other.error is not None:
                raise other.error
            return other.result  # type: ignore[return-value]

        job = Job(lambda: steps(elsewhere), on_late)
        self._loading.submit(job)
        if not job.wait(self._patience_seconds):
            self.stop()
            self._make_workers()
        return job

    def stop(self) -> None:
        """Let both threads end once they are free: the load that still runs may yet need the other one."""
        self._loading.submit(Job(self._rehearsing.stop, lambda: None))
        self._loading.stop()

    def _make_workers(self) -> None:
        self._loading = Worker("model-load")
        self._rehearsing = Worker("model-rehearse")
