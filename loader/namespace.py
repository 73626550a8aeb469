"""The private import world of one model version.

A version keeps its modules, under their plain names, in a table of its own. Their globals carry a `__builtins__` whose
`__import__` asks that table first, so `import helpers` is this version's file. Whoever looks a module up by its name
finds a facade in `sys.modules` (see `loader.facades`). Relative imports and `models_serve.<Model>.helpers` are other
spellings of the same plain names: each file of a version is one module, and each of its classes is one class.
"""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from loader.callers import OWNER
from loader.facades import Main
from loader.siblings import PACKAGE, find, is_namespace_package, namespace_package
from loader.statements import Statements
from loader.tracebacks import readable_tracebacks
from loader.turns import Turns

if TYPE_CHECKING:
    from loader.imports import Imports

#: The module of a model folder that is run first.
ENTRY = "etls"


class Namespace:
    """The modules of one version, alive as long as something uses it.

    Attributes:
        name: The model's name.
        folder: The snapshot of the model's folder.
        folders: That, and the snapshot of the shared code if there is any.
        search: Where its top-level modules are searched for: in these, and in what its code adds to `sys.path`.
        path: The same, ending in `/`, as a model receives it.
        builtins: What the version's modules have for `__builtins__`.
        modules: The version's modules by their plain names.
        root: The package `models_serve.<Model>`, in which a relative import of `etls.py` starts.
        handlers: The logging handlers that the version's own code added, and to what.
        collectors: The Prometheus collectors that the version's own code registered.
    """

    def __init__(self, name: str, folder: Path, shared: Path | None, imports: Imports) -> None:
        self.name = name
        self.folder = folder
        self.path = f"{folder}/"
        self.folders = [folder, *([shared] if shared else [])]
        self._shared = [str(shared)] if shared else []
        self.collectors = CollectorRegistry(auto_describe=True)
        self.handlers: list[tuple[logging.Logger, logging.Handler]] = []
        self.search = [str(folder), *self._shared]
        self.statements = Statements(self)
        self.builtins: dict[str, Any] = {
            **vars(builtins),
            "__import__": self.statements.import_statement,
            OWNER: self,
        }
        self.modules: dict[str, ModuleType] = {}
        self._root = f"{PACKAGE}.{name}"
        self._imports = imports
        self._turns = Turns()
        self._specs: dict[str, ModuleSpec] = {}
        self._aliases: dict[str, str] = {}
        self._carried: dict[str, bool] = {}
        self._make_packages()

    def _make_packages(self) -> None:
        """Make `models_serve` and `models_serve.<Model>`, whose folders are the shared code and the model's."""
        for name, folders in ((PACKAGE, self._shared), (self._root, self.search)):
            self._specs[name] = namespace_package(name, folders)
            self.modules[name] = module_from_spec(self._specs[name])
        self.root = self.modules[self._root]
        setattr(self.modules[PACKAGE], self.name, self.root)
        self.modules["__main__"] = Main(self.name, lambda: self.module(ENTRY))

    def load(self) -> ModuleType:
        """Run the model's `etls.py` and return it as a module; what its code raises passes through."""
        with self.recording():
            for name in (PACKAGE, "__main__"):
                self.show(name)
            return self.module(ENTRY)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Work for the version on this thread; what its code changes in the process is recorded and goes with it."""
        with readable_tracebacks(), self.running(), self._imports.side_effects.recording(self):
            yield

    def running(self) -> Any:
        """Work for the version on this thread: who looks a module up here finds this version's."""
        return self._imports.callers.running(self)

    def close(self) -> None:
        """Take the version out of the process. Its code that still runs keeps its own modules."""
        self._imports.close(self)

    def plain(self, name: str) -> str:
        """Return the one name under which the version keeps the module that *name* spells."""
        if name.startswith(f"{self._root}."):
            return name.removeprefix(f"{self._root}.")
        if not name.startswith(f"{PACKAGE}.") or name == self._root:
            return name
        if name not in self._aliases:
            short = name.removeprefix(f"{PACKAGE}.")
            top = short.partition(".")[0]
            is_plain = find(top, self._shared) and not find(top, [str(self.folder)])
            self._aliases[name] = short if is_plain else name
        return self._aliases[name]

    def find(self, name: str) -> ModuleSpec | None:
        """Return the spec of the version's module of this plain name, or None: it is not the version's.

        Where an installed module has the name, the spec's is `models_serve.<Model>.calendar`: whoever looks for the
        module that a class says it is from finds the model's own.
        """
        spec = self._specs.get(name)
        if spec is None:
            parent, _ = self._split(name)
            is_free = self._imports.is_free(name.partition(".")[0])
            spec = find(name if is_free else f"{self._root}.{name}", self._folders(parent))
            if spec is None or (not parent and not is_free and self._is_hidden(name, spec)):
                return None
            self._specs[name] = spec
        return spec

    def _folders(self, parent: str) -> Sequence[str]:
        if not parent:
            self._imports.side_effects.adopt(self)
            return self.search
        if parent in self.modules:
            return list(getattr(self.modules[parent], "__path__", ()))
        spec = self.find(parent)
        return (spec.submodule_search_locations or []) if spec else []

    @staticmethod
    def _is_hidden(name: str, spec: ModuleSpec) -> bool:
        # Nothing stands before a built-in module. A folder `pandas/` full of CSV files is no pandas.
        return name in sys.builtin_module_names or is_namespace_package(spec)

    def _split(self, name: str) -> tuple[str, str]:
        """Return the parent's name and the last part. A model's name may have dots of its own."""
        if name == self._root:
            return PACKAGE, self.name
        parent, _, child = name.rpartition(".")
        return parent, child

    def module(self, name: str) -> ModuleType:
        """Return the version's module of this plain name, run on first use.

        May be called from any thread: one runs the module, others wait for it, but never in a circle.

        Raises:
            ModuleNotFoundError: The version has no such module.
        """
        if name in self.modules and not self._turns.is_taken(name):
            return self.modules[name]
        parent, child = self._split(name)
        above = self.module(parent or self._root)
        if name == ENTRY and name in self.modules:
            # The entry may start threads that unpickle its classes and wait for them.
            return self.modules[name]
        with self._turns.take(name) as is_mine:
            if is_mine and name not in self.modules:
                self._run(name)
                setattr(above, child, self.modules[name])
        return self.modules[name]

    def _run(self, name: str) -> None:
        spec = self.find(name)
        if spec is None:
            raise self._missing(name)
        self.show(spec.name)
        module = self.modules[name] = module_from_spec(spec)
        vars(module)["__builtins__"] = self.builtins
        try:
            if spec.loader is not None:
                spec.loader.exec_module(module)
        except BaseException:
            del self.modules[name]
            raise
        finally:
            # An extension module, and one that puts another object in its own place, wrote to `sys.modules`.
            stand_in = self.show(spec.name)
        if stand_in is not None:
            self.modules[name] = stand_in

    def owns(self, plain: str) -> bool:
        """Say whether *plain* names a module of the version, or one inside a package of the version."""
        top = plain.partition(".")[0]
        return top in self.modules or self.find(top) is not None

    def _missing(self, name: str) -> ImportError:
        parent, _ = self._split(name)
        if name.startswith(f"{PACKAGE}."):
            return ImportError(
                f"{name} is no part of model {self.name}: a model sees its own folder and the shared code. "
                f"Put what several models use in a folder or file beside the models.",
                name=name,
            )
        hint = f"; {parent!r} is not a package" if parent and not self._folders(parent) else ""
        return ModuleNotFoundError(f"No module named {name!r}{hint}", name=name)

    def carries(self, name: str) -> bool:
        """Say whether *name*, as other code spells it, is a module of this version that may be found by name.

        It may not where an installed module has the name: `datetime.strptime` imports `calendar`.
        """
        if name not in self._carried:
            plain = self.plain(name)
            is_there = plain in self.modules or self.find(plain) is not None
            self._carried[name] = is_there and self._imports.is_free(name.partition(".")[0])
        return self._carried[name]

    def spec(self, name: str) -> ModuleSpec | None:
        """Return the spec of the module *name* without running it."""
        return self.find(self.plain(name))

    def begun(self, name: str) -> ModuleType | None:
        """Return the module *name* if it has begun to run; it may be half-made."""
        return self.modules.get(self.plain(name))

    def named(self, name: str) -> ModuleType:
        """Return the module *name*, run on first use."""
        return self.module(self.plain(name))

    def show(self, name: str) -> ModuleType | None:
        """Let *name* be looked up in `sys.modules`; return what stood there in place of the facade, if anything."""
        if self._carried.get(name) is False:  # it was asked for before it was there
            del self._carried[name]
        return self._imports.show(name, self)

    def is_settled(self) -> bool:
        """Say whether no module of the version is being run just now."""
        return self._turns.are_over()

    def is_of_other_models(self, top: str) -> bool:
        """Say whether only models, and this is none of them, have a module of this top-level name."""
        return self._imports.facades.is_only_of_models(top)
