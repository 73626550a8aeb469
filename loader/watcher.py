"""Notice changes on disk: watchdog makes it fast, a slow poll makes it true; both only wake the reloader.

inotify may be unavailable (out of watches), blind (NFS), or overflow unnoticed, and a watch on git-sync's link itself
dies with the first flip. So events are hints: what is watched is the parent of every link on the way, not recursively,
and a plain root recursively; what has changed is decided by the reloader, from the disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from loader.checkout import CheckoutUnreadable, Tree, is_noise, resolve

log = logging.getLogger("model_serving.watcher")

#: Reading a file fires these: waking on them would be a loop.
HARMLESS = frozenset({"opened", "closed_no_write"})


class Watcher(FileSystemEventHandler):
    """A thread that keeps an observer alive over the right folders, and wakes the reloader at every poll.

    Attributes:
        restarts: How often the observer had to be replaced because it died.
    """

    def __init__(
        self, models_dir: Path, wake: Callable[[], None], poll_seconds: float, on_poll: Callable[[], None]
    ) -> None:
        """Make a watcher; nothing is watched before `start`.

        Args:
            models_dir: The models root as the settings name it.
            wake: Called on any thread when something may have changed; must not block.
            poll_seconds: How often it is called without an event.
            on_poll: What else is to be done at every poll.
        """
        self._models_dir = models_dir
        self._wake = wake
        self._poll_seconds = poll_seconds
        self._on_poll = on_poll
        self._observer: BaseObserver | None = None
        self._targets: dict[Path, bool] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._is_blind = False
        self.restarts = 0

    def start(self) -> None:
        """Begin to watch and to poll."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the observer."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._drop_observer()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake the reloader; runs on the observer's thread, under its lock, and must never raise there."""
        if event.event_type not in HARMLESS and not is_noise(Path(str(event.src_path)).name):
            self._wake()

    def _run(self) -> None:
        while True:
            try:
                self._refresh()
                self._on_poll()
            except Exception:  # the outermost loop: without events the poll still works
                log.exception("watching failed")
            if self._stopping.wait(self._poll_seconds):
                return
            self._wake()

    def _refresh(self) -> None:
        """Watch what the links lead to now; replace an observer that has died."""
        try:
            targets = targets_of(resolve(self._models_dir))
        except CheckoutUnreadable:
            targets = {}
        died = self._observer is not None and not self._observer.is_alive()
        if died:
            self.restarts += 1
            log.warning("watcher restarted", extra={"restarts": self.restarts})
        if died or targets != self._targets or self._is_blind:
            self._drop_observer()
            self._observe(targets)
            self._wake()

    def _observe(self, targets: dict[Path, bool]) -> None:
        observer = Observer()
        try:
            for folder, is_recursive in targets.items():
                observer.schedule(self, str(folder), recursive=is_recursive)
            observer.start()
        except OSError as error:  # EMFILE, ENOSPC, or the folder vanished: the poll goes on
            if not self._is_blind:
                log.warning(
                    "file events unavailable", extra={"error": str(error), "poll_seconds": self._poll_seconds}
                )
            self._is_blind = True
            return
        self._is_blind = False
        self._observer, self._targets = observer, targets

    def _drop_observer(self) -> None:
        observer, self._observer, self._targets = self._observer, None, {}
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join()


def targets_of(tree: Tree) -> dict[Path, bool]:
    """Return the folders to watch, and whether recursively.

    A root that does not exist yet is awaited from its nearest existing parent.
    """
    targets = {link.parent: False for link in tree.links}
    if tree.revision is None:
        root = tree.root
        while not root.is_dir():
            root = root.parent
        targets[root] = root == tree.root
    return targets
