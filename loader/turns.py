"""One thread runs a module while the others wait for it, but never in a circle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Turn:
    """A thread at work on one module."""

    thread: int
    is_over: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Who runs which module of one namespace, and who waits for whom.

    Two threads whose modules import each other would wait for ever. As in Python's own import, the one that would
    close the circle goes on with the half-made module. No lock is held while a module runs.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken: dict[str, Turn] = {}
        self._waiting: dict[int, Turn] = {}

    def is_taken(self, name: str) -> bool:
        """Say whether a thread, maybe this one, is at work on *name*."""
        return name in self._taken

    def are_over(self) -> bool:
        """Say whether no thread is at work on any module."""
        return not self._taken

    @contextmanager
    def take(self, name: str) -> Iterator[bool]:
        """Wait until nobody else is at work on *name*; False when this thread closes a circle and must go on."""
        if not self._wait(name):
            yield False
            return
        try:
            yield True
        finally:
            with self._guard:
                self._taken.pop(name).is_over.set()

    def _wait(self, name: str) -> bool:
        me = threading.get_ident()
        while True:
            with self._guard:
                turn = self._taken.get(name)
                if turn is None:
                    self._taken[name] = Turn(me)
                    return True
                if self._leads_to(me, turn):
                    return False
                self._waiting[me] = turn
            try:
                turn.is_over.wait()
            finally:
                with self._guard:
                    del self._waiting[me]

    def _leads_to(self, thread: int, turn: Turn | None) -> bool:
        while turn is not None:
            if turn.thread == thread:
                return True
            turn = self._waiting.get(turn.thread)
        return False
