"""What the server says of itself: the status page, readiness, and the nearest name to an unknown one."""

from __future__ import annotations

import difflib
import threading
import time
from typing import Any

from loader.registry import Registry
from web.scoring import reason_down

#: A flood of stray paths may cost so many searches a second, each among so many names.
SEARCHES_PER_SECOND = 20
MOST_NAMES = 200
LONGEST_NAME = 100


def status_page(registry: Registry) -> dict[str, Any]:
    """Return the revision, what is wrong with the checkout as a whole, and every model."""
    return {
        "revision": registry.revision,
        "problem": registry.problem,
        "models": [entry.describe() for entry in registry.entries.values()],
    }


def unready_reasons(registry: Registry, policy: str, *, is_draining: bool) -> list[str]:
    """Return why the server should get no traffic now; nothing when it should."""
    if is_draining:
        return ["the server is shutting down"]
    if not registry.is_complete:
        return [registry.problem or "the first load pass is not over"]
    models = [entry for entry in registry.entries.values() if entry.is_model]
    down = [f"{entry.name}: {reason_down(entry)}" for entry in models if entry.model is None]
    if models and len(down) == len(models):
        return down
    return down if policy == "all" else []


class NearestName:
    """Finds the model that a caller may have meant, at a bounded cost."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._second = 0
        self._searches = 0

    def find(self, name: str) -> str | None:
        """Return the known name nearest to *name*, or None when there is none or the search is not worth it."""
        if not self._may_search() or len(name) > LONGEST_NAME:
            return None
        names = [entry.name for entry in self._registry.entries.values() if entry.is_model]
        folded = {known.casefold(): known for known in names}
        if name.casefold() in folded:
            return folded[name.casefold()]
        near = sorted(folded, key=lambda known: abs(len(known) - len(name)))[:MOST_NAMES]
        matches = difflib.get_close_matches(name.casefold(), near, n=1)
        return folded[matches[0]] if matches else None

    def _may_search(self) -> bool:
        with self._lock:
            second = int(time.monotonic())
            if second != self._second:
                self._second, self._searches = second, 0
            self._searches += 1
            return self._searches <= SEARCHES_PER_SECOND
