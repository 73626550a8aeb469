"""The private import world of one model version, and the hooks through which the process takes part in it.

A version keeps its modules, under their plain names, in a table of its own. Their globals carry a `__builtins__` whose
`__import__` asks that table first, so `import helpers` is this version's file. Whoever looks a module up by its name
finds a facade in `sys.modules` (see `loader.facades`). Relative imports and `models_serve.<Model>.helpers` are other
spellings of the same plain names: each file of a version is one module, and each of its classes is one class.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, resolve_name
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from loader.callers import OWNER
from loader.siblings import find, is_namespace_package, namespace_package
from loader.turns import Turns

if TYPE_CHECKING:
    from loader.imports import Imports

#: The module of a model folder that is run first.
ENTRY = "etls"
#: The package in whose folders the original framework kept its models.
PACKAGE = "models_serve"


class Namespace:
    """The modules of one version, alive as long as something uses it.

    Attributes:
        name: The model's name.
        folder: The snapshot of the model's folder.
        path: The same, ending in `/`, as a model receives it.
        builtins: What the version's modules have for `__builtins__`.
        modules: The version's modules by their plain names.
        collectors: The Prometheus collectors that the version's own code registered.
    """

    def __init__(self, name: str, folder: Path, shared: Path | None, imports: Imports) -> None:
        self.name = name
        self.folder = folder
        self.path = f"{folder}/"
        self.shared = f"{shared}/" if shared else None
        self.collectors = CollectorRegistry(auto_describe=True)
        self.search = [str(folder)] + ([str(shared)] if shared else [])
        self.builtins: dict[str, Any] = {**vars(builtins), "__import__": self._import_statement, OWNER: self}
        self.modules: dict[str, ModuleType] = {}
        self._root = f"{PACKAGE}.{name}"
        self._imports = imports
        self._turns = Turns()
        self._specs: dict[str, ModuleSpec] = {}
        self._remembered: dict[object, ModuleType] = {}
        self._foreign: set[str] = set()
        self._make_packages(shared)

    def _make_packages(self, shared: Path | None) -> None:
        """Make `models_serve` and `models_serve.<Model>`, whose folders are the shared code and the model's."""
        for name, folders in ((PACKAGE, [str(shared)] if shared else []), (self._root, self.search)):
            self._specs[name] = namespace_package(name, folders)
            self.modules[name] = module_from_spec(self._specs[name])
        setattr(self.modules[PACKAGE], self.name, self.modules[self._root])
        main = self.modules["__main__"] = ModuleType("__main__")
        vars(main)["__getattr__"] = self._from_main

    def load(self) -> ModuleType:
        """Run the model's `etls.py` and return it as a module; what its code raises passes through."""
        with self.recording():
            for name in (PACKAGE, "__main__"):
                self._imports.show(name, self)
            return self.module(ENTRY)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Work for the version on this thread; what its code changes in the process is recorded and goes with it."""
        with self.running(), self._imports.side_effects.recording(self):
            yield

    def running(self) -> Any:
        """Work for the version on this thread: who looks a module up here finds this version's."""
        return self._imports.callers.running(self)

    def close(self) -> None:
        """Take the version out of the process. Its code that still runs keeps its own modules."""
        self._imports.close(self)

    # --- finding a module of the version ---

    def plain(self, name: str) -> str:
        """Return the one name under which the version keeps the module that *name* spells."""
        if name.startswith(f"{self._root}."):
            return name.removeprefix(f"{self._root}.")
        if name.startswith(f"{PACKAGE}.") and name != self._root:
            short = name.removeprefix(f"{PACKAGE}.")
            top = short.partition(".")[0]
            shared = self._specs[PACKAGE].submodule_search_locations or []
            if find(top, shared) and not find(top, [str(self.folder)]):
                return short
        return name

    def find(self, name: str) -> ModuleSpec | None:
        """Return the spec of the version's module of this plain name, or None: it is not the version's."""
        spec = self._specs.get(name)
        if spec is None:
            parent, _ = self._split(name)
            spec = find(name, self._folders(parent))
            if spec is None or (not parent and self._is_shadow_of_data(spec)):
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

    def _is_shadow_of_data(self, spec: ModuleSpec) -> bool:
        # A built-in module is no file, nothing stands before it. A folder `pandas/` full of CSV files is no pandas.
        if spec.name in sys.builtin_module_names:
            return True
        return is_namespace_package(spec) and self._imports.is_installed(spec.name)

    def _split(self, name: str) -> tuple[str, str]:
        """Return the parent's name and the last part. A model's name may have dots of its own."""
        if name == self._root:
            return PACKAGE, self.name
        parent, _, child = name.rpartition(".")
        return parent, child

    # --- running a module ---

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
        module = self.modules[name] = module_from_spec(spec)
        vars(module)["__builtins__"] = self.builtins
        self._imports.show(name, self)
        try:
            if spec.loader is not None:
                spec.loader.exec_module(module)
        except BaseException:
            del self.modules[name]
            raise
        finally:
            # An extension module, and one that puts another object in its own place, wrote to `sys.modules`.
            stand_in = self._imports.show(name, self)
        if stand_in is not None:
            self.modules[name] = stand_in

    # --- import statements of the version's code ---

    def _import_statement(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Be `__import__` for the version's code. What was answered once costs a dict look-up from then on."""
        if level == 0 and name in self._foreign:
            return builtins.__import__(name, globals, locals, fromlist or (), 0)
        try:
            return self._remembered[name, fromlist, level and (globals or {})["__name__"]]
        except (KeyError, TypeError):  # not asked yet, or a list
            return self._import(name, globals or {}, fromlist, level)

    def _import(
        self, name: str, scope: Mapping[str, Any], fromlist: Sequence[str] | None, level: int
    ) -> ModuleType:
        wanted = self._absolute(name, scope, level) if level else name
        plain = self.plain(wanted)
        # C code (PyImport_Import) passes an empty list and then takes what `sys.modules` has under the name.
        is_lookup = isinstance(fromlist, list) and not fromlist
        if not (self.carries(wanted) if is_lookup else self._owns(plain)):
            return self._import_foreign(name, scope, fromlist)
        module = self.module(plain)
        self._imports.show(wanted, self)
        for attribute in fromlist or ():
            self._import_from(module, attribute)
        result = module if fromlist or level else self.modules[wanted.partition(".")[0]]
        if not is_lookup and self._turns.are_over():
            self._remembered[name, tuple(fromlist or ()) or fromlist, level and scope["__name__"]] = result
        return result

    def _import_from(self, module: ModuleType, attribute: str) -> None:
        """Import the submodule *attribute* of *module*, unless it has something of that name."""
        if attribute == "*":
            for public in getattr(module, "__all__", ()):
                self._import_from(module, public)
        elif hasattr(module, "__path__") and not hasattr(module, attribute):
            plain = self.plain(f"{module.__name__}.{attribute}")
            if self.find(plain) is not None:
                setattr(module, attribute, self.module(plain))
            elif module is self.modules[PACKAGE]:
                raise self._missing(plain)

    def _import_foreign(
        self, name: str, scope: Mapping[str, Any], fromlist: Sequence[str] | None
    ) -> ModuleType:
        top = name.partition(".")[0]
        if self._imports.facades.is_only_of_models(top):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = builtins.__import__(name, scope, None, fromlist or (), 0)
        self._foreign.add(name)
        return module

    def import_module(self, name: str, package: str | None = None) -> ModuleType | None:
        """Be `importlib.import_module` for a direct call from the version's code; None: not the version's."""
        if name.startswith("."):
            bare = name.lstrip(".")
            level = len(name) - len(bare)
            name = resolve_name(name, package) if package else self._absolute(bare, {}, level)
        plain = self.plain(name)
        if not self._owns(plain):
            return None
        module = self.module(plain)
        self._imports.show(name, self)
        return module

    def _absolute(self, name: str, scope: Mapping[str, Any], level: int) -> str:
        """Return what a relative import means: `etls.py` is in `models_serve.<Model>`, shared code beside it."""
        is_shared = self.shared is not None and str(scope.get("__file__")).startswith(self.shared)
        package = scope.get("__package__") or ""
        parts = [PACKAGE] if is_shared else [PACKAGE, self.name]
        parts += package.removeprefix(PACKAGE).lstrip(".").split(".") if package else []
        if level > len(parts):
            raise ImportError("attempted relative import beyond the folder of the models")
        return ".".join(parts[: len(parts) - level + 1] + ([name] if name else []))

    def _owns(self, plain: str) -> bool:
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

    # --- modules looked up by their names (see `loader.callers.Owner`) ---

    def carries(self, name: str) -> bool:
        """Say whether *name*, as other code spells it, is a module of this version that may be found by name.

        It may not where an installed module has the name: `datetime.strptime` imports `calendar`.
        """
        plain = self.plain(name)
        return self._owns(plain) and self._imports.is_free(plain.partition(".")[0])

    def spec(self, name: str) -> ModuleSpec | None:
        """Return the spec of the module *name* without running it."""
        return self.find(self.plain(name))

    def has_begun(self, name: str) -> bool:
        """Say whether the module *name* is there, be it half-made."""
        return self.plain(name) in self.modules

    def named(self, name: str) -> ModuleType:
        """Return the module *name*, run on first use."""
        return self.module(self.plain(name))

    def _from_main(self, attribute: str) -> Any:
        """Answer for `__main__`: an author's script or notebook is `etls.py` here."""
        try:
            return getattr(self.module(ENTRY), attribute)
        except AttributeError:
            raise AttributeError(
                f"__main__.{attribute} was written by a script or a notebook that defined {attribute} itself, and "
                f"{ENTRY}.py of model {self.name} has none: define or import it there, or write the file again "
                f"with {attribute} in a module beside {ENTRY}.py"
            ) from None
