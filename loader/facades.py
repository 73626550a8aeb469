"""What `sys.modules` holds under a bare name that several model versions carry.

pickle, joblib, dataclasses, typing, pydantic and `importlib` look modules up in `sys.modules`, which has one place for
each name. A facade stands there and answers each caller with the module of the caller's own version.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from operator import attrgetter
from types import ModuleType
from typing import Any

from loader.callers import Callers, Owner

#: What importlib asks of a module while it holds a lock for its name. The answers come from the spec: running a
#: model's code under a lock that the whole process shares would let one model's import hang another's.
WITHOUT_RUNNING: dict[str, Callable[[ModuleSpec], Any]] = {
    "__spec__": lambda spec: spec,
    "__name__": attrgetter("name"),
    "__package__": attrgetter("parent"),
    "__loader__": attrgetter("loader"),
    "__path__": attrgetter("submodule_search_locations"),
    "__file__": attrgetter("origin"),
}


class Facade(ModuleType):
    """A module that is another one for each model version.

    Attributes, of its own: the `sys.modules` name, the callers, the versions that carry the name (the only one
    answers callers that nobody can place), and the module that had the name before, if any: it goes on answering
    everyone who is no model.
    """

    __slots__ = ("_callers", "_name", "_original", "_owners")

    def __init__(self, name: str, callers: Callers, original: ModuleType | None) -> None:
        super().__init__(name)
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_callers", callers)
        object.__setattr__(self, "_original", original)
        object.__setattr__(self, "_owners", [])

    def __getattribute__(self, attribute: str) -> Any:
        return answer(self, attribute)

    def __setattr__(self, attribute: str, value: object) -> None:
        # importlib binds a submodule to its parent, here one facade to another; the version has bound its own.
        if not isinstance(value, Facade) and attribute != "__spec__":
            setattr(behind(self), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(behind(self), attribute)

    def __dir__(self) -> list[str]:
        return dir(behind(self))

    def __repr__(self) -> str:
        return f"<the module {inside(self, '_name')!r} of each model>"


def inside(facade: Facade, attribute: str) -> Any:
    """Return what the facade itself has under *attribute*."""
    return object.__getattribute__(facade, attribute)


def owner_of(facade: Facade) -> Owner | None:
    """Return the version whose module answers the caller; None for the original module, or nobody."""
    name, original, owners = (inside(facade, key) for key in ("_name", "_original", "_owners"))
    caller = inside(facade, "_callers").asking()
    if original is not None and caller.is_server:
        return None
    if caller.owner is not None:
        return caller.owner if caller.owner.carries(name) else None
    return owners[0] if original is None and len(owners) == 1 else None


def behind(facade: Facade) -> ModuleType:
    """Return the module that answers the caller, run on first use.

    Raises:
        AttributeError: Nobody who asks has such a module. It is no ImportError, because code that walks through
            `sys.modules` expects `hasattr` to answer.
    """
    owner = owner_of(facade)
    if owner is not None:
        return owner.named(inside(facade, "_name"))
    original: ModuleType | None = inside(facade, "_original")
    if original is None:
        raise AttributeError(_nobody(facade))
    return original


def answer(facade: Facade, attribute: str) -> Any:
    """Return *attribute* of the module that answers the caller."""
    owner = owner_of(facade)
    if owner is None:
        if attribute == "__spec__" and inside(facade, "_original") is None and _asked_by_importlib():
            name = inside(facade, "_name")
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return getattr(behind(facade), attribute)
    name = inside(facade, "_name")
    if attribute in WITHOUT_RUNNING and not owner.has_begun(name) and (spec := owner.spec(name)) is not None:
        value = WITHOUT_RUNNING[attribute](spec)
        if value is not None:
            return value
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
    return getattr(owner.named(name), attribute)


def _asked_by_importlib() -> bool:
    return sys._getframe(3).f_code.co_filename.startswith("<frozen importlib")


def _nobody(facade: Facade) -> str:
    models = ", ".join(sorted({owner.name for owner in inside(facade, "_owners")})) or "no model"
    return f"module {inside(facade, '_name')!r} belongs to {models}, and the code that asks for it to none of them"


class Facades:
    """The facades in `sys.modules`, counted by the versions that carry their names."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._lock = threading.Lock()
        self._facades: dict[str, Facade] = {}

    def add(self, name: str, owner: Owner) -> ModuleType | None:
        """Put a facade under *name* and count *owner* among its versions.

        Returns:
            What had taken the place of a facade that was there before, if anything.
        """
        with self._lock:
            there = sys.modules.get(name)
            facade = self._facades.get(name)
            taken = there if facade is not None and there is not facade else None
            if facade is None:
                facade = self._facades[name] = Facade(name, self._callers, there)
            owners = inside(facade, "_owners")
            if owner not in owners:
                owners.append(owner)
            sys.modules[name] = facade
        return taken

    def is_only_of_models(self, name: str) -> bool:
        """Say whether nobody but models has a module *name*."""
        facade = self._facades.get(name)
        return facade is not None and inside(facade, "_original") is None

    def drop(self, owner: Owner) -> None:
        """Take *owner* off every facade, and off `sys.modules` those that nobody carries any more."""
        with self._lock:
            for name, facade in list(self._facades.items()):
                owners = inside(facade, "_owners")
                if owner in owners:
                    owners.remove(owner)
                    if not owners:
                        self._remove(name)

    def _remove(self, name: str) -> None:
        original = inside(self._facades.pop(name), "_original")
        if original is not None:
            sys.modules[name] = original
        else:
            sys.modules.pop(name, None)
