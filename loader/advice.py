"""Say once what an operator can do when a model turns calls away although the machine has time."""

from __future__ import annotations

import logging
import time

from loader.registry import Registry

log = logging.getLogger("model_serving.advice")

#: Below this share of one CPU the machine idles.
IDLE_SHARE = 0.5
#: The same advice for the same model is given again after this long.
SILENCE_SECONDS = 3600.0


class Adviser:
    """Compares two looks at the lanes and the CPU clock; used by one thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen: dict[str, int] = {}
        self._said: dict[str, float] = {}
        self._at = time.monotonic()
        self._cpu_seconds = time.process_time()

    def look(self) -> None:
        """Warn of every model that has turned calls away since the last look, if the CPU idled meanwhile."""
        now, cpu_seconds = time.monotonic(), time.process_time()
        share = (cpu_seconds - self._cpu_seconds) / max(now - self._at, 0.001)
        self._at, self._cpu_seconds = now, cpu_seconds
        seen = {}
        for name, entry in self._registry.entries.items():
            outcomes = entry.lane.outcomes
            seen[name] = outcomes["rejected"] + outcomes["expired"]
            turned_away = seen[name] - self._seen.get(name, 0)
            if (
                turned_away > 0
                and share < IDLE_SHARE
                and now - self._said.get(name, -SILENCE_SECONDS) >= SILENCE_SECONDS
            ):
                self._said[name] = now
                advice = "the CPU idles: if its code bears more calls at once, give the class a higher `concurrency`"
                concurrency = entry.model.concurrency if entry.model else None
                fields = {"model": name, "calls": turned_away, "concurrency": concurrency, "advice": advice}
                log.warning("model turns calls away", extra=fields)
        self._seen = seen
