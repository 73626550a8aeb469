"""Bring one model in line with its folder: what has to be done for its content, and what is remembered of it."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from loader import checkout
from loader.checkout import Tree
from loader.errors import LoadError
from loader.model import Model
from loader.publisher import Publisher
from loader.registry import Entry, Failure, Registry
from loader.retries import Retries
from loader.shared_code import SharedCode
from loader.snapshots import Snapshots, fingerprint, version_of

log = logging.getLogger("model_serving.updater")

RENEWALS_PER_HOUR = 3
HOUR_SECONDS = 3600.0


@dataclass
class Memory:
    """What the reloader remembers of one name between two passes.

    Attributes:
        digest: What the folder and the shared code looked like when it was last considered, in a plain folder.
        missing: In how many scans in a row it was not there.
        late_version: The version whose load outlasted the patience and still runs.
        renewed_at: When fresh instances were made in the last hour (monotonic).
    """

    digest: bytes | None = None
    missing: int = 0
    late_version: str | None = None
    renewed_at: deque[float] = field(default_factory=deque)


class Updater:
    """Decides for one name at a time; used by the reloader's thread alone."""

    def __init__(
        self,
        registry: Registry,
        snapshots: Snapshots,
        publisher: Publisher,
        retries: Retries,
        shared: SharedCode,
    ) -> None:
        self._registry = registry
        self._snapshots = snapshots
        self._publisher = publisher
        self._retries = retries
        self._shared = shared
        self._memories: dict[str, Memory] = {}

    def memory(self, name: str) -> Memory:
        """Return what is remembered of *name*."""
        return self._memories.setdefault(name, Memory())

    def update(self, tree: Tree, name: str, folder: Path, content: str, *, is_due: bool) -> bool:
        """Do what the content of *folder* asks for; False when it vanished under our hands.

        Args:
            tree: The models root.
            name: The model.
            folder: Its folder.
            content: What identifies the content before it is read; what cannot even be copied is its failure.
            is_due: Content that has failed is tried once more.
        """
        try:
            self._update(tree, name, folder, is_due)
            return True
        except LoadError as error:
            message = str(error)
        except OSError as error:
            if not folder.is_dir():
                return False
            message = f"cannot be read: {(error.strerror or str(error)).lower()}"
        if is_due or not self._retries.has_failed(name, content):
            entry = self._registry.entries[name]
            entry.failure = Failure(message, tree.revision, at=datetime.now(UTC))
            entry.loads.outcomes["failed"] += 1
            log.error("model load failed", extra={"model": name, "revision": tree.revision, "error": message})
            self._retries.note_failure(name, content)
            self._publisher.restore(entry, None)
        return True

    def _update(self, tree: Tree, name: str, folder: Path, is_due: bool) -> None:
        entry, memory = self._registry.entries[name], self.memory(name)
        if tree.revision is not None:  # the tree does not change: look before anything is copied
            content = fingerprint(checkout.walk(folder, tree.root))
            if self._is_settled_version(entry, version_of(content, self._shared.content), tree, is_due):
                return
        snapshot = self._snapshots.take(name, folder, tree.root, self._shared.folder, self._shared.content)
        if self._is_settled_version(entry, snapshot.version, tree, is_due):
            return
        deaths = self._snapshots.deaths(name, snapshot.version)
        if deaths and not self._retries.has_failed(name, snapshot.version):
            self._set_aside(entry, snapshot.version, tree, deaths)
            return
        outcome = self._publisher.deploy(entry, snapshot, tree.revision)
        memory.late_version = snapshot.version if outcome is None else None
        if outcome:
            self._retries.forget(name)
            self._registry.changed_at = datetime.now(UTC)
        elif outcome is False:
            self._retries.note_failure(name, snapshot.version)
        self._publisher.restore(entry, snapshot.version)

    def _is_settled_version(self, entry: Entry, version: str, tree: Tree, is_due: bool) -> bool:
        """Tell whether nothing has to be done for this content: it serves, it loads, or it failed and is not due."""
        memory = self.memory(entry.name)
        if entry.model is not None and entry.model.version == version:
            entry.model.revision = tree.revision
            entry.failure = memory.late_version = None
            self._retries.forget(entry.name)
            return True
        if memory.late_version == version:
            return True
        return self._retries.has_failed(entry.name, version) and not is_due

    def _set_aside(self, entry: Entry, version: str, tree: Tree, deaths: int) -> None:
        """Do not load content that killed the process: once more after an hour, then not before it changes."""
        message = (
            f"killed the server's process while it loaded ({deaths} time{'s' * (deaths > 1)}); set aside"
        )
        entry.failure = Failure(message, tree.revision, version, at=datetime.now(UTC))
        log.error("model set aside", extra={"model": entry.name, "version": version, "error": message})
        self._retries.set_aside(entry.name, version, once_more=deaths == 1)
        self._publisher.restore(entry, version)

    def remove(self, name: str, tree: Tree) -> None:
        """Take a model out of memory whose folder is gone."""
        entry = self._registry.remove(name)
        if entry is not None:
            entry.lane.publish(None)
        self._memories.pop(name, None)
        self._retries.forget(name)
        self._snapshots.forget(name)
        log.info("model removed", extra={"model": name, "revision": tree.revision})

    def take_late_loads(self) -> None:
        """Finish the loads that ended after their patience, where their content is still wanted."""
        for name, version, has_served in self._publisher.take_late(self._is_wanted):
            self.memory(name).late_version = None
            if not has_served:
                self._retries.note_failure(name, version)
                self._publisher.restore(self._registry.entries[name], version)

    def _is_wanted(self, name: str, version: str) -> bool:
        return name in self._registry.entries and self.memory(name).late_version == version

    def renew(self, model: Model) -> float | None:
        """Make a fresh instance beside *model*, whose every slot is stuck; at most three an hour.

        Returns:
            None, or in how many seconds to try again.
        """
        entry, renewed_at = self._registry.entries.get(model.name), self.memory(model.name).renewed_at
        if entry is None or entry.model is not model or model.stuck < model.concurrency:
            return None
        now = time.monotonic()
        while renewed_at and renewed_at[0] < now - HOUR_SECONDS:
            renewed_at.popleft()
        if len(renewed_at) >= RENEWALS_PER_HOUR:
            log.error("model stuck", extra={"model": model.name, "renewals_per_hour": RENEWALS_PER_HOUR})
            return renewed_at[0] + HOUR_SECONDS - now
        renewed_at.append(now)
        log.warning("model renewed", extra={"model": model.name, "stuck_calls": model.stuck})
        self._publisher.deploy(entry, model.snapshot, model.revision, "renewed")
        return None
