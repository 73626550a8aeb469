"""Name -> live model and its status, in memory; the one place where loading and serving meet.

A request looks a name up in a plain dict and never waits for a load. The reloader replaces the dict when names
come or go, and one reference inside an entry when a version does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from loader.lane import Lane
from loader.model import Model

#: Outcomes of a load, for the metric.
LOAD_OUTCOMES = ("ok", "failed", "restored", "renewed")
#: Upper bounds of the load histogram, in seconds.
LOAD_BUCKETS_SECONDS = (0.1, 1.0, 10.0, 60.0)


@dataclass(frozen=True)
class Failure:
    """Why the content that is on disk does not serve.

    Attributes:
        message: One sentence.
        revision: The commit that has this content.
        version: Its fingerprint, or None when it could not even be copied.
        traceback: The last lines of the traceback.
        at: When it failed, UTC.
        is_refusal: What is on disk under this name can be no model at all.
    """

    message: str
    revision: str | None = None
    version: str | None = None
    traceback: tuple[str, ...] = ()
    at: datetime | None = None
    is_refusal: bool = False


class LoadStats:
    """What the loads of one model came to; written by the reloader alone."""

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(LOAD_OUTCOMES, 0)
        self.buckets = [0] * (len(LOAD_BUCKETS_SECONDS) + 1)
        self.duration_seconds = 0.0
        self.last_at: datetime | None = None


class Entry:
    """One model name: its lane, its live version and what is known of the content on disk."""

    def __init__(self, name: str, lane: Lane) -> None:
        self.name = name
        self.lane = lane
        self.failure: Failure | None = None
        self.loads = LoadStats()

    @property
    def model(self) -> Model | None:
        """The version that serves, if any."""
        model: Model | None = self.lane.version
        return model

    @property
    def status(self) -> str:
        """`serving`, `last_good` (newer content does not load), `loading` or `failed`."""
        if self.model is not None:
            return "serving" if self.failure is None else "last_good"
        return "failed" if self.failure is not None else "loading"

    @property
    def is_model(self) -> bool:
        """Whether this name stands for a model, and not for something that only lies where models lie."""
        return self.model is not None or self.failure is None or not self.failure.is_refusal

    def describe(self) -> dict[str, Any]:
        """Return the entry as the status page shows it."""
        model, failure = self.model, self.failure
        return {
            "name": self.name,
            "status": self.status,
            "revision": model.revision if model else None,
            "version": model.version if model else None,
            "loaded_at": timestamp(model.loaded_at) if model else None,
            "error": failure.message if failure else None,
            "failed": _describe_failure(failure) if failure else None,
        }


def _describe_failure(failure: Failure) -> dict[str, Any]:
    return {
        "revision": failure.revision,
        "version": failure.version,
        "at": timestamp(failure.at) if failure.at else None,
        "traceback": list(failure.traceback),
    }


def timestamp(moment: datetime) -> str:
    """Return *moment* as RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Registry:
    """All model names of this process.

    Reads need no lock. Only the reloader's thread adds and removes names.

    Attributes:
        revision: The commit that the checkout is at, or None for a plain folder.
        changed_at: When the reloader last saw new content, UTC.
        problem: Why the models root as a whole cannot be taken as it is, or None.
        is_complete: The first full load pass is over.
    """

    def __init__(self, make_lane: Callable[[], Lane]) -> None:
        self._make_lane = make_lane
        self._entries: Mapping[str, Entry] = MappingProxyType({})
        self._on_change: list[Callable[[], None]] = []
        self.revision: str | None = None
        self.changed_at: datetime | None = None
        self.problem: str | None = "the models root was not read yet"
        self.is_complete = False

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every name, sorted; a read-only view that never changes once it is handed out."""
        return self._entries

    def get(self, name: str) -> Entry | None:
        """Return the entry of *name*, however its accents are composed (Unicode NFC or NFD)."""
        entry = self._entries.get(name)
        if entry is not None or name.isascii():
            return entry
        wanted = unicodedata.normalize("NFC", name)
        for known, candidate in self._entries.items():
            if unicodedata.normalize("NFC", known) == wanted:
                return candidate
        return None

    def add(self, names: Iterable[str]) -> None:
        """Make an entry for each of *names* that has none."""
        fresh = {name: Entry(name, self._make_lane()) for name in names if name not in self._entries}
        if fresh:
            self._replace({**self._entries, **fresh})

    def remove(self, name: str) -> Entry | None:
        """Take *name* out: new requests find nothing; calls that run are let finish, waiting ones are told."""
        entries = dict(self._entries)
        entry = entries.pop(name, None)
        if entry is not None:
            self._replace(entries)
        return entry

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call *callback* after every change of the set of names, on the reloader's thread."""
        self._on_change.append(callback)

    def _replace(self, entries: dict[str, Entry]) -> None:
        self._entries = MappingProxyType(dict(sorted(entries.items())))
        for callback in self._on_change:
            callback()
