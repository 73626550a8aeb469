"""Whose code is calling: the model version whose frame is nearest on the stack, else the one that owns the thread.

Every module of a version runs with a `__builtins__` of the version's own, and that dict names its version. Frames
carry their builtins, so a walk up the stack finds the version: also from C code, from code that a model builds with
`exec`, and where context variables do not reach.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple, Protocol

#: The key under which a version's builtins, and a thread that it started, name the version.
OWNER = "__model_namespace__"


class Owner(Protocol):
    """What the modules of this package need to know of a version's namespace."""

    name: str
    builtins: dict[str, Any]

    def carries(self, name: str) -> bool:
        """Say whether *name*, as other code spells it, is a module of this version."""

    def spec(self, name: str) -> ModuleSpec | None:
        """Return the spec of the module *name* without running it."""

    def begun(self, name: str) -> ModuleType | None:
        """Return the module *name* if it has begun to run; it may be half-made."""

    def named(self, name: str) -> ModuleType:
        """Return the module *name*, run on first use."""


class Caller(NamedTuple):
    """Who asks: a version, or the server itself, which may be at work for the owner of its thread."""

    owner: Owner | None
    is_server: bool


class Callers:
    """Finds the version that a thread runs code of. Has no state but the names of the server's files."""

    def __init__(self, server_folder: Path) -> None:
        """Take every module directly in *server_folder* for the server's own code."""
        packages = [f"{init.parent}/" for init in server_folder.glob("*/__init__.py")]
        self.server_files = (*map(str, server_folder.glob("*.py")), *packages)
        here = Path(__file__).parent
        # These look modules up for someone else: their own frames say nothing about who asks.
        self._machinery = {
            str(here / f"{name}.py") for name in ("facades", "hooks", "statements", "namespace", "imports")
        }

    def calling(self) -> Owner | None:
        """Return the version whose code is calling, else the owner of the current thread."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if (owner := frame.f_builtins.get(OWNER)) is not None:
                return owner  # type: ignore[no-any-return]
            frame = frame.f_back
        return self.thread_owner()

    def asking(self) -> Caller:
        """Return who looks a module up by its name: the nearest frame of a version or of the server decides."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if (owner := frame.f_builtins.get(OWNER)) is not None:
                return Caller(owner, is_server=False)
            file = frame.f_code.co_filename
            if file.startswith(self.server_files) and file not in self._machinery:
                return Caller(self.thread_owner(), is_server=True)
            frame = frame.f_back
        return Caller(self.thread_owner(), is_server=False)

    @staticmethod
    def thread_owner() -> Owner | None:
        """Return the version that the current thread belongs to or is at work for."""
        reference = threading.current_thread().__dict__.get(OWNER)
        return reference() if reference is not None else None

    @staticmethod
    def own(thread: threading.Thread, owner: Owner) -> None:
        """Give *thread* to *owner*. The reference is weak: a thread that stays does not keep its version."""
        thread.__dict__[OWNER] = weakref.ref(owner)

    @staticmethod
    @contextmanager
    def running(owner: Owner) -> Iterator[None]:
        """Make *owner* the owner of the current thread for a while: the server is at work for it."""
        thread = threading.current_thread().__dict__
        before = thread.get(OWNER)
        thread[OWNER] = weakref.ref(owner)
        try:
            yield
        finally:
            thread[OWNER] = before
