"""Bring memory in line with disk: find what has changed, have it loaded, let go what is gone.

One thread makes passes. Everything that could wake it (a file event, the poll, a retry that is due, a load that ends
late, a model whose every slot is stuck) only sets one event; a pass decides by what it finds on disk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from loader import checkout
from loader.checkout import CheckoutUnreadable, Listing, Look, Tree
from loader.errors import LoadError
from loader.model import Model
from loader.publisher import Publisher
from loader.registry import Failure, Registry
from loader.retries import Retries
from loader.settling import Settling
from loader.shared_code import SharedCode
from loader.snapshots import Snapshots
from loader.updater import Updater

log = logging.getLogger("model_serving.reloader")

#: What vanishes while it is copied, or is missing for the first time, is looked at again so soon.
AGAIN_SECONDS = 0.5


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
        self._retries = Retries()
        self._shared = SharedCode(snapshots)
        self._updater = Updater(registry, snapshots, self._publisher, self._retries, self._shared)
        self._wedged: deque[Model] = deque()
        self._done: Tree | None = None
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

    def stop_loading(self) -> None:
        """Begin no pass and no load any more; what is loaded goes on serving."""
        self._is_stopping = True
        self._publisher.stop()
        self.wake()

    def stop(self, budget_seconds: float) -> None:
        """End the thread, close all live models within the budget, and leave the last good ones on disk."""
        deadline = time.monotonic() + budget_seconds
        self.stop_loading()
        if self._thread.ident is not None:
            self._thread.join(budget_seconds / 2)
        for entry in self._registry.entries.values():
            entry.lane.publish(None)
        self._publisher.bury(max(deadline - time.monotonic(), 0))
        self._snapshots.save()

    def _run(self) -> None:
        while True:
            self._event.wait(None if self._next_at is None else max(self._next_at - time.monotonic(), 0))
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
        self._updater.take_late_loads()
        self._renew_wedged()
        if self._publisher.bury() and self._done is not None:
            self._sweep()
        try:
            tree = checkout.resolve(self._models_dir)
            due = self._retries.due()
            if tree.revision is None or tree != self._done or due:
                self._take(tree, checkout.scan(tree), due)
        except CheckoutUnreadable as error:
            self._report(str(error))
        if (seconds := self._retries.next_in_seconds()) is not None:
            self._again(max(seconds, AGAIN_SECONDS))

    def _take(self, tree: Tree, listing: Listing, due: set[str]) -> None:
        if self._is_emptied(tree, listing) or not self._read_shared(tree, listing):
            return
        self._registry.problem = None
        self._registry.add([*listing.models, *listing.refused])
        self._refuse(listing)
        outcomes = [self._consider(tree, name, folder, due) for name, folder in listing.models.items()]
        self._remove_missing(tree, listing)
        if all(outcomes):
            self._complete(tree)

    def _complete(self, tree: Tree) -> None:
        """Take note that memory is in line with this tree."""
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
        live = {name for name, entry in self._registry.entries.items() if entry.model}
        if tree.revision is None:
            if len(live) > 1:
                self._report("every model folder is gone at once; what was loaded keeps serving")
            return len(live) > 1
        known = live or set(self._snapshots.good_names())
        if known and (self._done is None or self._done.revision != tree.revision):
            self._report(
                f"revision {tree.revision} has no model at all; what was loaded before keeps serving"
            )
            self._registry.add(known)
            for name in sorted(known - live):
                self._publisher.restore(self._registry.entries[name], None)
            self._done = tree
            self._registry.is_complete = True
        return bool(known)

    def _read_shared(self, tree: Tree, listing: Listing) -> bool:
        try:
            return self._shared.read(tree, listing, self._has_settled)
        except LoadError as error:
            self._report(f"shared code: {error}")
            return False
        except OSError:  # it vanished, or the link was flipped meanwhile
            return self._again(AGAIN_SECONDS)

    def _refuse(self, listing: Listing) -> None:
        """Report what lies where models lie and can be none; a version that serves under its name goes on."""
        for name, reason in listing.refused.items():
            entry = self._registry.entries[name]
            if entry.failure is None or entry.failure.message != reason:
                entry.failure = Failure(reason, at=datetime.now(UTC), is_refusal=True)
                log.error("folder refused", extra={"model": name, "error": reason})
                self._publisher.restore(entry, None)

    def _consider(self, tree: Tree, name: str, folder: Path, due: set[str]) -> bool:
        """Load *name* if its content has changed or a retry is due; False when it has to be looked at again."""
        memory = self._updater.memory(name)
        memory.missing = 0
        if tree.revision is not None:
            is_done = self._updater.update(tree, name, folder, tree.revision, is_due=name in due)
            return is_done or self._again(AGAIN_SECONDS)
        look = checkout.look(folder, tree.root)
        digest = self._shared.digest + look.digest
        if not self._has_settled(name, look):
            return False
        if digest == memory.digest and name not in due:
            return True
        is_done = self._updater.update(tree, name, folder, digest.hex(), is_due=name in due)
        if (
            not is_done or checkout.look(folder, tree.root).digest != look.digest
        ):  # changed while it was copied
            return self._again(AGAIN_SECONDS)
        memory.digest = digest
        return True

    def _remove_missing(self, tree: Tree, listing: Listing) -> None:
        for name in [
            n for n in self._registry.entries if n not in listing.models and n not in listing.refused
        ]:
            memory = self._updater.memory(name)
            memory.missing += 1
            if tree.revision is None and memory.missing < 2:
                self._again(AGAIN_SECONDS)
            else:
                self._updater.remove(name, tree)
                self._settling.forget(name)
        for name in set(self._snapshots.good_names()) - set(self._registry.entries):
            self._snapshots.forget(name)

    def _renew_wedged(self) -> None:
        for _ in range(len(self._wedged)):
            model = self._wedged.popleft()
            if (seconds := self._updater.renew(model)) is not None:
                self._wedged.append(model)
                self._again(seconds)

    def _has_settled(self, name: str, look: Look) -> bool:
        if not self._registry.is_complete:
            self._settling.accept(name, look)
            return True
        wait_seconds = self._settling.seconds_to_wait(name, look, time.monotonic())
        return True if wait_seconds == 0 else self._again(wait_seconds)

    def _again(self, seconds: float) -> bool:
        """Make the next pass in at most so many seconds; always False, for callers that could not finish."""
        at = time.monotonic() + seconds
        self._next_at = at if self._next_at is None else min(self._next_at, at)
        return False

    def _report(self, problem: str) -> None:
        if self._registry.problem != problem:
            log.error("checkout refused", extra={"error": problem})
        self._registry.problem = problem
