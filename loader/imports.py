"""Where the process learns of private import worlds: opens them, puts the hooks in and takes them out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from loader.callers import Callers
from loader.facades import Facades
from loader.hooks import Hooks, drop_handlers
from loader.namespace import Namespace
from loader.siblings import PACKAGE, is_namespace_package
from loader.side_effects import SideEffects


class Imports:
    """Makes the namespaces of one process. `install` before the first `open`, `uninstall` at the end.

    It is a finder in `sys.meta_path`: the last resort of whoever looks up a module of a model by its name.
    """

    def __init__(self, server_folder: Path | None = None) -> None:
        """Take the modules in *server_folder*, this package's parent by default, for the server's own."""
        self._server_folder = server_folder or Path(__file__).parents[1]
        self.callers = Callers(self._server_folder)
        self.facades = Facades(self.callers)
        self.side_effects = SideEffects()
        self._hooks = Hooks(self.callers)
        self._open: set[Namespace] = set()
        self._is_free: dict[str, bool] = {}

    def install(self) -> None:
        """Put the hooks in. The working directory, path and filters of now are those that closing returns to."""
        self.side_effects = SideEffects()
        sys.meta_path.insert(0, self)
        self._hooks.put_in()

    def uninstall(self) -> None:
        """Close what is open and take every hook out again."""
        for namespace in list(self._open):
            self.close(namespace)
        self._hooks.take_out()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def open(self, name: str, folder: Path, shared: Path | None) -> Namespace:
        """Make the import world of one version of the model *name*.

        Args:
            name: The name of the model's folder.
            folder: The snapshot of the model's folder.
            shared: The snapshot of the shared code beside the models, if there is any.
        """
        namespace = Namespace(name, folder.absolute(), shared and shared.absolute(), self)
        self.side_effects.begin(namespace)
        self._open.add(namespace)
        return namespace

    def close(self, namespace: Namespace) -> None:
        """Take *namespace* out of the process; a second time does nothing."""
        if namespace in self._open:
            self._open.remove(namespace)
            self.facades.drop(namespace)
            self.side_effects.release(namespace)
            drop_handlers(namespace.handlers)
            self._is_free.clear()

    def calling(self) -> Namespace | None:
        """Return the namespace whose code is calling: the nearest on the stack, else the thread's owner."""
        owner = self.callers.calling()
        return owner if isinstance(owner, Namespace) else None

    def show(self, name: str, namespace: Namespace) -> ModuleType | None:
        """Let *name* be looked up in `sys.modules`, unless an installed module has it or *namespace* is closed.

        Returns:
            What model code, or an extension module, had put under the name by itself.
        """
        top = name.partition(".")[0]
        if namespace not in self._open or not self.is_free(top):
            return None
        if top not in sys.modules and self._is_of_server(top):
            self._import_own(top)
        return self.facades.add(name, namespace)

    def is_free(self, top: str) -> bool:
        """Say whether models may be found by this top-level name: no installed module has it."""
        if top in (PACKAGE, "__main__"):
            return True
        if top not in self._is_free:
            self._is_free[top] = not self.is_installed(top)
        return self._is_free[top]

    def is_installed(self, top: str) -> bool:
        """Say whether Python would find a module *top* that is neither the server's, a model's, nor a mere folder."""
        if top in sys.stdlib_module_names:
            return True
        for finder in sys.meta_path:
            spec = (
                finder.find_spec(top, None) if finder is not self and hasattr(finder, "find_spec") else None
            )
            if spec is not None:
                return not (is_namespace_package(spec) or self._is_of_server(top) or self._is_of_model(spec))
        return False

    def _import_own(self, top: str) -> None:
        """Import a module of the server's that the server has not used yet: a facade must fall back on something."""
        spec = PathFinder.find_spec(top, [str(self._server_folder)])
        if spec is not None and spec.loader is not None:
            module = sys.modules[top] = module_from_spec(spec)
            spec.loader.exec_module(module)

    def _is_of_server(self, name: str) -> bool:
        top = name.partition(".")[0]
        files = (f"{self._server_folder / top}.py", f"{self._server_folder / top}/")
        return any(file in self.callers.server_files for file in files)

    def _is_of_model(self, spec: ModuleSpec) -> bool:
        return any(str(spec.origin).startswith(namespace.path) for namespace in self._open)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - importlib's interface
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Be a finder in `sys.meta_path`: find a facade for a caller whose version carries *name*."""
        owner, is_server = self.callers.asking()
        if is_server and self._is_of_server(name):
            return None
        if not isinstance(owner, Namespace) or not owner.carries(name):
            return None
        real = owner.spec(name)
        if real is None:
            return None
        spec = ModuleSpec(name, FacadeLoader(real.loader, lambda: self.show(name, owner)), origin=real.origin)
        spec.submodule_search_locations = real.submodule_search_locations
        return spec


class FacadeLoader(Loader):
    """The loader of a facade: runs nothing, because importlib holds a lock for the name; else the real loader."""

    def __init__(self, loader: object, show: Callable[[], object]) -> None:
        self._loader = loader
        self._show = show

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._loader, attribute)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the facade."""
        self._show()
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module runs when something asks for what it contains."""
