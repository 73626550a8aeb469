"""The import statement of one version's code: what its modules have for `__import__`."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib.util import resolve_name
from types import ModuleType
from typing import TYPE_CHECKING, Any

from loader.siblings import PACKAGE

if TYPE_CHECKING:
    from loader.namespace import Namespace

#: The module of a model folder that makes it a package, as it is called here.
INIT = "__init__"


class Statements:
    """Decides which module an import statement means, and remembers what it decided.

    The version's own modules come first, then whatever Python has. A relative import counts from where the author has
    the file: `etls.py` in `models_serve.<Model>`, shared code in `models_serve`.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._remembered: dict[object, ModuleType] = {}
        self._looked_up: set[str] = set()
        self._foreign: set[str] = set()

    def import_statement(
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
        if fromlist.__class__ is list:
            module = sys.modules.get(name) if not fromlist and name in self._looked_up else None
        else:
            module = self._remembered.get((name, fromlist, level and (globals or {}).get("__name__")))
        return module if module is not None else self._import(name, globals or {}, fromlist, level)

    def import_module(self, name: str, package: str | None = None) -> ModuleType | None:
        """Be `importlib.import_module` for a direct call from the version's code; None: it is not the version's."""
        bare = name.lstrip(".")
        if name != bare:
            name = resolve_name(name, package) if package else self._absolute(bare, {}, len(name) - len(bare))
        plain = self._namespace.plain(name)
        if not self._namespace.owns(plain):
            return None
        module = self._namespace.module(plain)
        self._namespace.show(name)
        return module

    def _import(
        self, name: str, scope: Mapping[str, Any], fromlist: Sequence[str] | None, level: int
    ) -> ModuleType:
        namespace = self._namespace
        wanted = self._absolute(name, scope, level) if level else name
        plain = namespace.plain(wanted)
        # C code (PyImport_Import) passes an empty list and then takes what `sys.modules` has under the name.
        is_lookup = isinstance(fromlist, list) and not fromlist
        if not (namespace.carries(wanted) if is_lookup else namespace.owns(plain)):
            return self._import_foreign(name, scope, fromlist)
        module = namespace.module(plain)
        namespace.show(wanted)
        for attribute in fromlist or ():
            self._import_from(module, attribute)
        result = module if fromlist or level else namespace.modules[wanted.partition(".")[0]]
        if namespace.is_settled():
            if is_lookup:
                self._looked_up.add(name)
            else:
                self._remembered[name, fromlist and tuple(fromlist), level and scope.get("__name__")] = result
        return result

    def _import_from(self, module: ModuleType, attribute: str) -> None:
        """Import the submodule *attribute* of *module*, unless it has something of that name."""
        if attribute == "*":
            for public in getattr(module, "__all__", ()):
                self._import_from(module, public)
        elif hasattr(module, "__path__") and not hasattr(module, attribute):
            namespace = self._namespace
            plain = namespace.plain(f"{module.__name__}.{attribute}")
            if namespace.find(plain) is not None or module is namespace.modules[PACKAGE]:
                setattr(module, attribute, namespace.module(plain))
            elif module is namespace.root and namespace.find(INIT) is not None:
                # Run only for what nothing else has: many an `__init__.py` was written for another place.
                setattr(module, attribute, getattr(namespace.module(INIT), attribute))

    def _import_foreign(
        self, name: str, scope: Mapping[str, Any], fromlist: Sequence[str] | None
    ) -> ModuleType:
        if self._namespace.is_of_other_models(name.partition(".")[0]):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = builtins.__import__(name, scope, None, fromlist or (), 0)
        self._foreign.add(name)
        return module

    def _absolute(self, name: str, scope: Mapping[str, Any], level: int) -> str:
        namespace = self._namespace
        package = namespace.plain(scope.get("__package__") or "")
        file, shared = str(scope.get("__file__")), tuple(f"{folder}/" for folder in namespace.folders[1:])
        parts = [PACKAGE] if file.startswith(shared) else [PACKAGE, namespace.name]
        parts += package.removeprefix(PACKAGE).lstrip(".").split(".") if package else []
        if level > len(parts):
            raise ImportError("attempted relative import beyond the folder of the models")
        return ".".join(parts[: len(parts) - level + 1] + ([name] if name else []))
