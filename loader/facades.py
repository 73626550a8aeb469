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
        object.__setattr__(self, "_owners", {})

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
        try:
            return repr(behind(self))
        except AttributeError:
            return f"<the module {inside(self, '_name')!r} of several models>"


def inside(facade: Facade, attribute: str) -> Any:
    """Return what the facade itself has under *attribute*."""
    return object.__getattribute__(facade, attribute)


def owner_of(facade: Facade) -> Owner | None:
    """Return the version whose module answers the caller; None for the original module, or nobody."""
    name, original, owners = (inside(facade, key) for key in ("_name", "_original", "_owners"))
    caller = inside(facade, "_callers").asking()
    owner: Owner | None = caller.owner
    if owner is None and not caller.is_server and original is None and len(owners) == 1:
        # A thread that nobody started: there is only one version that it can mean. Nothing is run for it.
        owner = next((only for only in list(owners) if only.begun(name) is not None), None)
    if owner is None or (caller.is_server and original is not None):
        return None
    return owner if owner.carries(name) else None


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
        models = ", ".join(sorted({owner.name for owner in inside(facade, "_owners")})) or "no model"
        raise AttributeError(f"module {inside(facade, '_name')!r} of {models} is not there for other code")
    return original


def answer(facade: Facade, attribute: str) -> Any:
    """Return *attribute* of the module that answers the caller.

    What a half-made module has is answered at once; a thread that runs it may be waiting for this one.
    """
    name, owner = inside(facade, "_name"), owner_of(facade)
    if owner is None:
        if attribute == "__spec__" and inside(facade, "_original") is None and _asked_by_importlib():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return getattr(behind(facade), attribute)
    module = owner.begun(name)
    if module is not None and (value := getattr(module, attribute, facade)) is not facade:
        return value
    if module is None and attribute in WITHOUT_RUNNING and (spec := owner.spec(name)) is not None:
        value = WITHOUT_RUNNING[attribute](spec)
        if value is not None:
            return value
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
    return getattr(owner.named(name), attribute)


def run(facade: Facade) -> None:
    """Run the module behind *facade*, for a caller whose import of it has just ended without."""
    owner = owner_of(facade)
    if owner is not None:
        owner.named(inside(facade, "_name"))


def _asked_by_importlib() -> bool:
    return sys._getframe(3).f_code.co_filename.startswith("<frozen importlib")


class Main(ModuleType):
    """What `__main__` is for a model: an author's script or notebook is `etls.py` here.

    What model code assigns to it (`__main__.Tokenizer = Tokenizer`) stays in it.
    """

    def __init__(self, model: str, entry: Callable[[], ModuleType]) -> None:
        super().__init__("__main__")
        self._model = model
        self._entry = entry

    def __getattr__(self, attribute: str) -> Any:
        return getattr(vars(self)["_entry"](), attribute)

    def __repr__(self) -> str:
        # pickle's error is "Can't get attribute 'X' on" and this.
        return (
            f"<module '__main__', which in the server is etls.py of model {self._model}: define or import there "
            f"what a script or notebook had defined itself>"
        )


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
            inside(facade, "_owners")[owner] = None
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
                    del owners[owner]
                    if not owners:
                        self._remove(name)

    def _remove(self, name: str) -> None:
        facade = self._facades.pop(name)
        original = inside(facade, "_original")
        for place, module in list(sys.modules.items()):  # multiprocessing gives `__main__` a second name
            if module is facade and original is not None:
                sys.modules[place] = original
            elif module is facade:
                del sys.modules[place]
