"""When content that failed to load is tried again: after 1, 2, 4 … 60 minutes while it is current."""

from __future__ import annotations

import time
from dataclasses import dataclass

FIRST_SECONDS = 60.0
MOST_SECONDS = 3600.0


@dataclass
class Attempts:
    """How often one content of one name failed.

    Attributes:
        content: What identifies the content: its version, or whatever changes when it does.
        failures: How often it failed.
        retry_at: When it is due again (monotonic); None: not before it changes.
    """

    content: str
    failures: int = 0
    retry_at: float | None = None


class Retries:
    """The failed contents of all names; used by the reloader's thread alone."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempts] = {}

    def note_failure(self, name: str, content: str) -> None:
        """Count one failure; content that differs from the last failed one begins anew."""
        attempts = self._attempts.get(name)
        if attempts is None or attempts.content != content:
            attempts = self._attempts[name] = Attempts(content)
        delay = min(FIRST_SECONDS * 2**attempts.failures, MOST_SECONDS)
        attempts.failures += 1
        attempts.retry_at = time.monotonic() + delay

    def set_aside(self, name: str, content: str, *, once_more: bool) -> None:
        """Do not try *content* again before it changes; or *once_more*, after the longest delay."""
        retry_at = time.monotonic() + MOST_SECONDS if once_more else None
        self._attempts[name] = Attempts(content, retry_at=retry_at)

    def has_failed(self, name: str, content: str) -> bool:
        """Tell whether this very content has failed."""
        return name in self._attempts and self._attempts[name].content == content

    def due(self) -> set[str]:
        """Return the names whose time has come."""
        now = time.monotonic()
        return {
            name
            for name, tried in self._attempts.items()
            if tried.retry_at is not None and tried.retry_at <= now
        }

    def next_in_seconds(self) -> float | None:
        """Return how long it is to the next retry."""
        times = [tried.retry_at for tried in self._attempts.values() if tried.retry_at is not None]
        return max(min(times) - time.monotonic(), 0) if times else None

    def forget(self, name: str) -> None:
        """Drop what is known of *name*: it loads, or is gone."""
        self._attempts.pop(name, None)
