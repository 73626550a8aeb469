"""Bring memory in line with disk: load the new version beside the old one, swap, let the old one go.

One thread makes passes. A pass looks at the checkout, finds the names whose content changed, and loads these one
after another. Everything that could wake it (a file event, the poll, a retry that is due, a load that ends late, a
model whose every slot is stuck) only sets one event; the pass itself decides by what it finds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from loader import checkout
from loader.checkout import CheckoutUnreadable, Listing, Tree
from loader.errors import LoadError
from loader.model import Model
from loader.publisher import Publisher
from loader.registry import Entry, Failure, Registry
from loader.settling import Settling
from loader.snapshots import Snapshot, Snapshots, fingerprint, version_of

log = logging.getLogger("model_serving.reloader")

#: Content that failed and is still current is tried again after this many seconds, doubled up to an hour.
RETRY_SECONDS = 60.0
RETRY_MOST_SECONDS = 3600.0
#: A folder that vanishes while it is copied, or is missing for the first time, is looked at again so soon.
AGAIN_SECONDS = 0.5
RENEWALS_PER_HOUR = 3
SHARED = "\0shared"  # no folder's name has a NUL


@dataclass
class Attempts:
    """How often the loading of one content failed, and when it is tried again."""

    version: str
    failures: int = 0
    retry_at: float | None = None


@dataclass
class Memory:
    """What the reloader remembers of one name between two passes."""

    attempts: Attempts | None = None
    digest: bytes | None = None
    missing: int = 0
    late_version: str | None = None
    renewed_at: deque[float] = field(default_factory=deque)


class Reloader:
    """The thread that makes passes.

    `wake`, `renew` and `retire` may be called from any thread; everything else happens on the reloader's own.
    """

    def __init__(
        self,
        models_dir: Path,
        registry: Registry,
        snapshots: Snapshots,
        make_publisher: Callable[[Callable[[], None]], Publisher],
    ) -> None:
        """Make a reloader; nothing happens before `start`.

        Args:
            models_dir: The models root as the settings name it, links and all.
            registry: Where live models go.
            snapshots: The private copies.
            make_publisher: Makes the publisher from the function that wakes the reloader.
        """
        self._models_dir = models_dir
        self._registry = registry
        self._snapshots = snapshots
        self._event = threading.Event()
        self._publisher = make_publisher(self.wake)
        self._settling = Settling()
        self._memories: dict[str, Memory] = {}
        self._wedged: deque[Model] = deque()
        self._done: Tree | None = None
        self._shared: tuple[Path | None, str] = (None, "")
        self._shared_digest = b""
        self._next_at: float | None = None
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)

    def start(self) -> None:
        """Begin to make passes; the first one loads everything."""
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Ask for a pass soon."""
        self._event.set()

    def retire(self, model: Model, has_stuck_calls: bool) -> None:
        """Let a replaced version go after its last call."""
        self._publisher.retire(model, has_stuck_calls)

    def renew(self, model: Model) -> None:
        """Ask for a fresh instance beside *model*, whose every slot is held by a stuck call."""
        self._wedged.append(model)
        self.wake()

    def stop(self, budget_seconds: float) -> None:
        """End the thread, close all live models within the budget, and leave the last good ones on disk."""
        deadline = time.monotonic() + budget_seconds
        self._is_stopping = True
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(max(budget_seconds / 2, 0))
        self._publisher.stop()
        for entry in self._registry.entries.values():
            entry.lane.publish(None)
        self._publisher.bury(max(deadline - time.monotonic(), 0))
        self._snapshots.save()

    def _run(self) -> None:
        while not self._is_stopping:
            timeout = None if self._next_at is None else max(self._next_at - time.monotonic(), 0)
            self._event.wait(timeout)
            self._event.clear()
            self._next_at = None
            if self._is_stopping:
                return
            try:
                self.run_pass()
            except Exception:  # the outermost loop: a pass that fails must not end reloading
                log.exception("reload pass failed")
                self._again(AGAIN_SECONDS)

    def run_pass(self) -> None:
        """Look at the disk once and do what follows from it."""
        for name in self._publisher.take_late(self._is_wanted):
            self._note_failure(name, self._memory(name).late_version or "")
        self._renew_wedged()
        if self._publisher.bury() and self._done is not None:
            self._sweep()
        try:
            tree = checkout.resolve(self._models_dir)
            due = self._names_due()
            if tree.revision is None or tree != self._done or due:
                self._take(tree, checkout.scan(tree), due)
        except CheckoutUnreadable as error:
            self._report(str(error))
        self._schedule_retries()

    def _take(self, tree: Tree, listing: Listing, due: set[str]) -> None:
        if self._is_emptied(tree, listing):
            return
        if not self._read_shared(tree, listing):
            return
        self._registry.problem = None
        self._registry.add([*listing.models, *listing.refused])
        self._refuse(listing)
        outcomes = [self._consider(tree, name, folder, due) for name, folder in listing.models.items()]
        self._remove_missing(tree, listing)
        if all(outcomes):
            self._complete(tree)

    def _complete(self, tree: Tree) -> None:
        if self._done != tree or not self._registry.is_complete:
            serving = sum(entry.model is not None for entry in self._registry.entries.values())
            log.info("checkout loaded", extra={"revision": tree.revision, "serving": serving})
            self._registry.changed_at = datetime.now(UTC)
            self._done = tree
            self._registry.revision = tree.revision
            self._registry.is_complete = True
            self._sweep()
        self._snapshots.save()

    def _sweep(self) -> None:
        models = [entry.model for entry in self._registry.entries.values()]
        self._snapshots.sweep([model.snapshot for model in models if model] + self._publisher.loading)

    def _is_emptied(self, tree: Tree, listing: Listing) -> bool:
        """Tell whether the tree has lost every model at once, which is never read as "delete everything"."""
        if listing.models:
            return False
        known = {name for name, entry in self._registry.entries.items() if entry.model}
        if tree.revision is None:
            if len(known) < 2:
                return False
            self._report("every model folder is gone at once; what was loaded keeps serving")
            return True
        kept = known or set(self._snapshots.good_names())
        if not kept:
            return False
        if self._done is None or self._done.revision != tree.revision:
            self._report(
                f"revision {tree.revision} has no model at all; what was loaded before keeps serving"
            )
            self._restore_all(kept - known)
            self._done = tree
            self._registry.is_complete = True
        return True

    def _restore_all(self, names: set[str]) -> None:
        self._registry.add(names)
        for name in sorted(names):
            self._publisher.restore(self._registry.entries[name], None)

    def _read_shared(self, tree: Tree, listing: Listing) -> bool:
        """Bring the copy of the shared code up to date; False when the folder has to settle first."""
        sources = checkout.shared_sources(listing, tree.root)
        looks = b""
        for path in listing.shared if tree.revision is None else ():
            look = checkout.look(path, tree.root)
            looks += look.digest
            if not self._has_settled(SHARED + path.name, look):
                return False
        if tree.revision is None and looks == self._shared_digest and self._registry.is_complete:
            return True
        try:
            if tree.revision is None or not sources or fingerprint(sources) != self._shared[1]:
                self._shared = self._snapshots.take_shared(sources)
        except LoadError as error:
            self._report(f"shared code: {error}")
            return False
        except OSError:
            return self._again(AGAIN_SECONDS)
        self._shared_digest = looks
        return True

    def _refuse(self, listing: Listing) -> None:
        for name, reason in listing.refused.items():
            entry = self._registry.entries.get(name)
            if entry is not None and (entry.failure is None or entry.failure.message != reason):
                entry.failure = Failure(reason, at=datetime.now(UTC), is_refusal=True)
                log.error("folder refused", extra={"model": name, "error": reason})
                self._publisher.restore(entry, None)

    def _consider(self, tree: Tree, name: str, folder: Path, due: set[str]) -> bool:
        """Load *name* if its content has changed or a retry is due; False when it has to be looked at again."""
        memory = self._memory(name)
        memory.missing = 0
        digest = self._shared_digest
        if tree.revision is None:
            look = checkout.look(folder, tree.root)
            digest += look.digest
            if not self._has_settled(name, look):
                return False
            if digest == memory.digest and name not in due:
                return True
        try:
            self._update(tree, name, folder, name in due)
        except LoadError as error:
            self._fail_unread(name, str(error), tree.revision, digest)
        except OSError as error:
            if not folder.is_dir() or checkout.resolve(self._models_dir) != tree:
                return self._again(AGAIN_SECONDS)  # it vanished, or the link was flipped meanwhile
            self._fail_unread(name, f"cannot be read: {error}", tree.revision, digest)
        if tree.revision is None and checkout.look(folder, tree.root).digest != look.digest:
            return self._again(AGAIN_SECONDS)
        memory.digest = digest
        return True

    def _update(self, tree: Tree, name: str, folder: Path, is_due: bool) -> None:
        entry, memory = self._registry.entries[name], self._memory(name)
        if tree.revision is not None:
            content = fingerprint(checkout.walk(folder, tree.root))
            if self._is_settled_version(entry, version_of(content, self._shared[1]), tree.revision, is_due):
                return
        snapshot = self._snapshots.take(name, folder, tree.root, *self._shared)
        if self._is_settled_version(entry, snapshot.version, tree.revision, is_due):
            return
        if memory.attempts is None or memory.attempts.version != snapshot.version:
            memory.attempts = Attempts(snapshot.version)
            if self._is_set_aside(entry, snapshot, tree.revision):
                return
        outcome = self._publisher.deploy(entry, snapshot, tree.revision)
        memory.late_version = snapshot.version if outcome is None else None
        if outcome:
            memory.attempts = None
        elif outcome is False:
            self._note_failure(name, snapshot.version)
        if entry.model is None:
            self._publisher.restore(entry, snapshot.version)

    def _is_settled_version(self, entry: Entry, version: str, revision: str | None, is_due: bool) -> bool:
        """Tell whether nothing has to be done for this content: it serves, it loads, or it failed and is not due."""
        memory = self._memory(entry.name)
        if entry.model is not None and entry.model.version == version:
            entry.model.revision = revision
            entry.failure = memory.attempts = memory.late_version = None
            return True
        if memory.late_version == version:
            return True
        return memory.attempts is not None and memory.attempts.version == version and not is_due

    def _is_set_aside(self, entry: Entry, snapshot: Snapshot, revision: str | None) -> bool:
        """Set content aside that killed the process; once more after an hour, then not before it changes."""
        deaths = self._snapshots.deaths(entry.name, snapshot.version)
        if not deaths:
            return False
        message = (
            f"killed the server's process while it loaded ({deaths} time{'s' * (deaths > 1)}); set aside"
        )
        entry.failure = Failure(message, revision, snapshot.version, at=datetime.now(UTC))
        log.error(
            "model set aside", extra={"model": entry.name, "version": snapshot.version, "error": message}
        )
        retry_at = time.monotonic() + RETRY_MOST_SECONDS if deaths == 1 else None
        self._memory(entry.name).attempts = Attempts(snapshot.version, deaths, retry_at)
        self._publisher.restore(entry, snapshot.version)
        return True

    def _fail_unread(self, name: str, message: str, revision: str | None, digest: bytes) -> None:
        """Note content that could not even be copied."""
        entry = self._registry.entries[name]
        if entry.failure is None or entry.failure.message != message:
            log.error("model load failed", extra={"model": name, "revision": revision, "error": message})
        entry.failure = Failure(message, revision, at=datetime.now(UTC))
        entry.loads.outcomes["failed"] += 1
        version = revision or digest.hex()
        memory = self._memory(name)
        if memory.attempts is None or memory.attempts.version != version:
            memory.attempts = Attempts(version)
        self._note_failure(name, version)
        self._publisher.restore(entry, None)

    def _note_failure(self, name: str, version: str) -> None:
        memory = self._memory(name)
        attempts = memory.attempts = memory.attempts or Attempts(version)
        memory.late_version = None
        delay = min(RETRY_SECONDS * 2**attempts.failures, RETRY_MOST_SECONDS)
        attempts.failures += 1
        attempts.retry_at = time.monotonic() + delay

    def _remove_missing(self, tree: Tree, listing: Listing) -> None:
        for name in [
            n for n in self._registry.entries if n not in listing.models and n not in listing.refused
        ]:
            memory = self._memory(name)
            memory.missing += 1
            if tree.revision is None and memory.missing < 2:
                self._again(AGAIN_SECONDS)
                continue
            entry = self._registry.remove(name)
            if entry is not None:
                entry.lane.publish(None)
            self._memories.pop(name, None)
            self._settling.forget(name)
            self._snapshots.forget(name)
            log.info("model removed", extra={"model": name, "revision": tree.revision})
        for name in set(self._snapshots.good_names()) - set(self._registry.entries):
            self._snapshots.forget(name)

    def _renew_wedged(self) -> None:
        while self._wedged:
            model = self._wedged.popleft()
            entry, memory = self._registry.entries.get(model.name), self._memory(model.name)
            if entry is None or entry.model is not model:
                continue
            now = time.monotonic()
            while memory.renewed_at and memory.renewed_at[0] < now - 3600:
                memory.renewed_at.popleft()
            if len(memory.renewed_at) >= RENEWALS_PER_HOUR:
                log.error("model stuck", extra={"model": model.name, "renewals_per_hour": RENEWALS_PER_HOUR})
                continue
            memory.renewed_at.append(now)
            log.warning("model renewed", extra={"model": model.name, "stuck_calls": model.stuck})
            self._publisher.deploy(entry, model.snapshot, model.revision, "renewed")

    def _is_wanted(self, name: str, version: str) -> bool:
        return name in self._registry.entries and self._memory(name).late_version == version

    def _has_settled(self, name: str, look: checkout.Look) -> bool:
        if not self._registry.is_complete:
            self._settling.accept(name, look)
            return True
        wait_seconds = self._settling.seconds_to_wait(name, look, time.monotonic())
        return True if wait_seconds == 0 else self._again(wait_seconds)

    def _names_due(self) -> set[str]:
        now = time.monotonic()
        return {
            name
            for name, memory in self._memories.items()
            if memory.attempts is not None
            and memory.attempts.retry_at is not None
            and memory.attempts.retry_at <= now
        }

    def _schedule_retries(self) -> None:
        for memory in self._memories.values():
            if memory.attempts is not None and memory.attempts.retry_at is not None:
                self._again(max(memory.attempts.retry_at - time.monotonic(), AGAIN_SECONDS))

    def _again(self, seconds: float) -> bool:
        """Make the next pass in at most so many seconds; always False, for callers that could not finish."""
        at = time.monotonic() + seconds
        self._next_at = at if self._next_at is None else min(self._next_at, at)
        return False

    def _memory(self, name: str) -> Memory:
        return self._memories.setdefault(name, Memory())

    def _report(self, problem: str) -> None:
        if self._registry.problem != problem:
            log.error("checkout refused", extra={"error": problem})
        self._registry.problem = problem
