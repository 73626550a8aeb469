"""What happens to one model: load a version, publish it, fall back to the last good one, let an old one go."""

from __future__ import annotations

import gc
import logging
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from loader.errors import LoadError
from loader.imports import Imports
from loader.loads import Job, Loads
from loader.model import Codec, Model, describe, load, traceback_tail
from loader.registry import LOAD_BUCKETS_SECONDS, Entry, Failure
from loader.snapshots import Snapshot, Snapshots

log = logging.getLogger("model_serving.publisher")

#: How long a version's own `close()` may take before it is left to itself.
CLOSE_SECONDS = 5.0


@dataclass
class Loaded:
    """A version that is ready to serve, and how long its example took, where it has one."""

    model: Model
    example_seconds: float | None


@dataclass
class Load:
    """One load that was begun."""

    entry: Entry
    snapshot: Snapshot
    revision: str | None
    outcome: str
    started: float
    job: Job[Loaded] | None = None


class Publisher:
    """Loads versions and swaps them in. All but `retire` is called by the reloader's thread alone."""

    def __init__(
        self,
        snapshots: Snapshots,
        imports: Imports,
        codec: Codec,
        *,
        default_concurrency: int,
        patience_seconds: float,
        wake: Callable[[], None],
        after_load: Callable[[], None],
    ) -> None:
        """Make a publisher.

        Args:
            snapshots: Where the last good versions are kept.
            imports: Gives each version its private import world.
            codec: How an example is read and its answer written.
            default_concurrency: `concurrency` of a class that does not say.
            patience_seconds: How long one load may keep the others waiting.
            wake: Called on any thread when there is something to take: a load that ended late, a version that ended.
            after_load: Called when model code may have changed what belongs to the process, such as its logging.
        """
        self._snapshots = snapshots
        self._imports = imports
        self._codec = codec
        self._default_concurrency = default_concurrency
        self._patience_seconds = patience_seconds
        self._loads = Loads(patience_seconds)
        self._wake = wake
        self._after_load = after_load
        self._late: list[Load] = []
        self._current: Load | None = None
        self._is_stopping = False
        self._retired: deque[tuple[Model, bool]] = deque()

    def deploy(
        self, entry: Entry, snapshot: Snapshot, revision: str | None, outcome: str = "ok"
    ) -> bool | None:
        """Load *snapshot* and publish it under its name.

        Returns:
            True when it serves, False when it failed and whatever served before still does, None when it takes
            longer than the patience: then `take_late` has the end of it.
        """
        if self._is_stopping:
            return None
        began = self._current = Load(entry, snapshot, revision, outcome, time.monotonic())
        if outcome != "restored":  # what served before is not what kills the process
            self._snapshots.mark(entry.name, snapshot.version)
        began.job = self._loads.run(lambda elsewhere: self._load(began, elsewhere), self._wake)
        self._current = None
        if began.job.is_over:
            return self._finish(began)
        self._late.append(began)
        message = f"has been loading for more than {self._patience_seconds:g} s and still is"
        entry.failure = Failure(message, revision, snapshot.version, at=datetime.now(UTC))
        log.warning("model load takes long", extra=_fields(began))
        return None

    def _load(self, began: Load, elsewhere: Callable[[Callable[[], Loaded]], Loaded]) -> Loaded:
        model = load(began.snapshot, began.revision, self._imports, self._default_concurrency)
        try:
            return elsewhere(lambda: Loaded(model, model.rehearse(self._codec)))
        except BaseException:
            model.close(may_call=True)
            raise

    def take_late(self, is_wanted: Callable[[str, str], bool]) -> list[tuple[str, str, bool]]:
        """Finish the loads that have ended late; return name, version and whether it serves now.

        Args:
            is_wanted: Whether a name still wants this version; else the late one is let go.
        """
        finished = []
        for began in [late for late in self._late if late.job is not None and late.job.is_over]:
            self._late.remove(began)
            if is_wanted(began.entry.name, began.snapshot.version):
                finished.append((began.entry.name, began.snapshot.version, self._finish(began)))
            else:
                self._abandon(began)
        return finished

    def _abandon(self, began: Load) -> None:
        log.info("late load dropped", extra=_fields(began))
        self._snapshots.unmark(began.entry.name)
        if began.job is not None and began.job.result is not None:
            self.retire(began.job.result.model, False)

    def _finish(self, began: Load) -> bool:
        self._after_load()
        entry, job, began.job = began.entry, began.job, None
        assert job is not None
        seconds = time.monotonic() - began.started
        entry.loads.buckets[bisect_left(LOAD_BUCKETS_SECONDS, seconds)] += 1
        entry.loads.duration_seconds += seconds
        entry.loads.last_at = datetime.now(UTC)
        if began.outcome != "restored":
            self._snapshots.unmark(entry.name)
        if job.result is None:
            self._fail(began, job.error)
            return False
        self._publish(began, job.result, seconds)
        return True

    def _publish(self, began: Load, loaded: Loaded, seconds: float) -> None:
        entry = began.entry
        entry.lane.publish(loaded.model, loaded.example_seconds)
        entry.loads.outcomes[began.outcome] += 1
        if began.outcome != "restored":
            entry.failure = None
            self._snapshots.keep(began.snapshot, began.revision)
        log.info("model published", extra=_fields(began) | {"seconds": round(seconds, 3)})

    def _fail(self, began: Load, error: BaseException | None) -> None:
        entry = began.entry
        entry.loads.outcomes["failed"] += 1
        if error is None:
            return
        message, tail = describe_load(error), tuple(traceback_tail(error))
        if began.outcome == "ok":
            entry.failure = Failure(message, began.revision, began.snapshot.version, tail, datetime.now(UTC))
        serves = entry.model.version if entry.model else None
        log.error(
            "model load failed",
            extra=_fields(began) | {"error": message, "traceback": tail, "serves": serves},
        )

    def restore(self, entry: Entry, but_version: str | None) -> None:
        """Serve the kept last good version under a name that has none, unless that is *but_version* itself."""
        kept = self._snapshots.restore(entry.name)
        if entry.model is None and kept is not None and kept[0].version != but_version:
            self.deploy(entry, kept[0], kept[1].revision, "restored")

    def retire(self, model: Model, has_stuck_calls: bool) -> None:
        """Let a replaced version go, soon; any thread."""
        self._retired.append((model, has_stuck_calls))
        self._wake()

    def bury(self, budget_seconds: float = CLOSE_SECONDS) -> bool:
        """Close the versions that were retired, side by side within the budget; whether there were any."""
        threads = []
        while self._retired:
            model, has_stuck_calls = self._retired.popleft()
            thread = threading.Thread(
                target=model.close, kwargs={"may_call": not has_stuck_calls}, name="model-close", daemon=True
            )
            thread.start()
            threads.append((model.name, thread))
            del model
        deadline = time.monotonic() + budget_seconds
        for name, thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                log.warning("model close takes long", extra={"model": name, "budget_seconds": budget_seconds})
        if not threads:
            return False
        gc.collect()
        return True

    @property
    def loading(self) -> list[Snapshot]:
        """The snapshots that loads still use."""
        return [late.snapshot for late in self._late]

    def stop(self) -> None:
        """Begin no load any more; any thread.

        The marks of loads that still run go: it is not they that end the process.
        """
        self._is_stopping = True
        self._loads.stop()
        for began in [*self._late, *([self._current] if self._current else [])]:
            self._snapshots.unmark(began.entry.name)


def describe_load(error: BaseException) -> str:
    """Return the sentence of a load's error: a `LoadError` says it itself."""
    return str(error) if isinstance(error, LoadError) else describe(error)


def _fields(began: Load) -> dict[str, object]:
    return {"model": began.entry.name, "version": began.snapshot.version, "revision": began.revision}
