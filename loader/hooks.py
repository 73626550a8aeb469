"""Functions that the process shares, wrapped so that what a model does with them stays with its version."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

import prometheus_client

from loader.callers import OWNER, Callers
from loader.facades import Facade, run

if TYPE_CHECKING:
    from loader.namespace import Namespace


class Hooks:
    """The wrapped functions, from `put_in` to `take_out`."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._undo: list[Callable[[], None]] = []

    def put_in(self) -> None:
        """Wrap the functions."""
        self._wrap(importlib, "import_module", import_module)
        self._wrap(importlib, "reload", reload)
        self._wrap(threading.Thread, "start", self._start)
        self._wrap(prometheus_client.REGISTRY, "register", register)
        self._wrap(prometheus_client.REGISTRY, "unregister", unregister)
        self._wrap(logging.Logger, "addHandler", add_handler)

    def take_out(self) -> None:
        """Put the original functions back."""
        while self._undo:
            self._undo.pop()()

    def _start(self, original: Callable[..., None], thread: threading.Thread) -> None:
        """Be `Thread.start`: a thread belongs to the version that starts it."""
        caller = self._callers.asking()
        if caller.owner is not None and not caller.is_server:
            self._callers.own(thread, caller.owner)
        original(thread)

    def _wrap(self, target: Any, name: str, hook: Callable[..., Any]) -> None:
        original = getattr(target, name)
        is_own = name in vars(target)

        @wraps(original)
        def wrapped(*args: Any, **options: Any) -> Any:
            return hook(original, *args, **options)

        setattr(target, name, wrapped)
        self._undo.append(lambda: setattr(target, name, original) if is_own else delattr(target, name))


def user_of(package: str) -> Namespace | None:
    """Return the version whose own code called a hook, through nothing but *package*; None for a library's call."""
    frame = sys._getframe(3)  # beyond this function, the hook and its wrapper
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame = frame.f_back
    return frame.f_builtins.get(OWNER)


def import_module(original: Callable[..., ModuleType], name: str, package: str | None = None) -> ModuleType:
    """Be `importlib.import_module`: in a model's own code it is as good as an import statement.

    A library that imports a model's module gets a facade; it may want no more than what running the module does.
    """
    namespace = user_of("importlib")
    module = namespace.statements.import_module(name, package) if namespace is not None else None
    if module is None:
        module = original(name, package)
        if isinstance(module, Facade):
            run(module)
    return module


def reload(original: Callable[[ModuleType], ModuleType], module: ModuleType) -> ModuleType:
    """Be `importlib.reload`: a module of the version itself is run again in its place, and no other one."""
    namespace = user_of("importlib")
    if namespace is None or module not in namespace.modules.values():
        return original(module)
    if module.__spec__ is not None and module.__spec__.loader is not None:
        module.__spec__.loader.exec_module(module)
    return module


def register(original: Callable[..., None], collector: Any) -> None:
    """Be `REGISTRY.register`: what model code registers is its version's, what a library does the process's."""
    namespace = user_of("prometheus_client")
    (namespace.collectors.register if namespace is not None else original)(collector)


def unregister(original: Callable[..., None], collector: Any) -> None:
    """Be `REGISTRY.unregister`: a model may clear its own collectors, not the server's."""
    namespace = user_of("prometheus_client")
    if namespace is None:
        original(collector)
    else:
        with suppress(KeyError):
            namespace.collectors.unregister(collector)


def add_handler(original: Callable[..., None], logger: logging.Logger, handler: logging.Handler) -> None:
    """Be `Logger.addHandler`: a handler that model code adds goes with its version, or each reload adds one more."""
    namespace = user_of("logging")
    if namespace is not None and handler not in logger.handlers:
        namespace.handlers.append((logger, handler))
    original(logger, handler)


def drop_handlers(handlers: list[tuple[logging.Logger, logging.Handler]]) -> None:
    """Take a version's logging handlers off their loggers and close their files."""
    while handlers:
        logger, handler = handlers.pop()
        logger.removeHandler(handler)
        with suppress(Exception):  # model code may have written it
            handler.close()
