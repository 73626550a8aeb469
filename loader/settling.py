"""When a plain folder has been left alone long enough to be loaded.

People save one file, or copy a gigabyte for a minute; both must give exactly one load. A small edit of a model that
is known settles quickly; everything else has to be still for longer.
"""

from __future__ import annotations

from loader.checkout import Look

#: A small edit is still after this long.
QUICK_SECONDS = 0.4
#: A new folder, a large file or a series of changes is still after this long.
CALM_SECONDS = 1.5
SMALL_BYTES = 64 * 1024


class Settling:
    """What each folder looked like when it last changed, and when that was; used by one thread."""

    def __init__(self) -> None:
        self._looks: dict[str, Look] = {}
        self._changed: dict[str, tuple[float, float]] = {}

    def seconds_to_wait(self, name: str, look: Look, now: float) -> float:
        """Take note of a *look* at *name*; return how much longer it has to stay so, 0 when it has settled."""
        before = self._looks.get(name)
        self._looks[name] = look
        if before is None or before.digest != look.digest:
            window = QUICK_SECONDS if _is_small(before, look) and name not in self._changed else CALM_SECONDS
            self._changed[name] = (now, window)
        since, window = self._changed.get(name, (now, 0.0))
        left = since + window - now
        if left <= 0:
            self._changed.pop(name, None)
        return max(left, 0.0)

    def accept(self, name: str, look: Look) -> None:
        """Take *look* as settled without waiting: the server starts, nobody is known to be copying."""
        self._looks[name] = look
        self._changed.pop(name, None)

    def forget(self, name: str) -> None:
        """Drop what is known of *name*, which is gone."""
        self._looks.pop(name, None)
        self._changed.pop(name, None)


def _is_small(before: Look | None, after: Look) -> bool:
    if before is None:
        return False
    changed = {name for name, seen in after.files.items() if before.files.get(name) != seen}
    return sum(after.files[name][0] for name in changed) <= SMALL_BYTES
