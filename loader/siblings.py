"""Where the modules of a model lie on disk: importlib's own finders and loaders, over the folders of one version."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    NamespaceLoader,
    SourceFileLoader,
    SourcelessFileLoader,
)
from typing import Any

#: The package in whose folder the original framework kept its models.
PACKAGE = "models_serve"


class SourceLoader(SourceFileLoader):
    """Runs a source file as it is.

    The bytecode cache is keyed by whole seconds and size, so it would run yesterday's code after a quick edit; and
    a snapshot is not to be written to.
    """

    def path_stats(self, path: str) -> Any:
        """Know no time and size of *path*, which importlib takes for: neither read nor write bytecode."""
        raise OSError(f"no bytecode for {path}")


def find(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """Find the module *name* in *folders* as `importlib.machinery.PathFinder` does, but always from the disk.

    A folder without `__init__.py` is a namespace package when no folder has anything better.
    """
    portions: list[str] = []
    for folder in folders:
        finder = FileFinder(
            folder,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (SourceLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )
        spec = finder.find_spec(name)
        if spec is not None and spec.loader is not None:
            return spec
        if spec is not None:
            portions += spec.submodule_search_locations or []
    return namespace_package(name, portions) if portions else None


def namespace_package(name: str, folders: list[str]) -> ModuleSpec:
    """Return the spec of a package that is nothing but *folders*.

    Its loader gets a name without dots: it would look a parent up in `sys.modules` to learn of new folders.
    """
    loader = NamespaceLoader(name.rpartition(".")[2], folders, lambda *_: None)
    spec = ModuleSpec(name, loader, is_package=True)
    spec.submodule_search_locations = folders
    return spec


def is_namespace_package(spec: ModuleSpec) -> bool:
    """Say whether *spec* is a mere folder: no code of its own."""
    return spec.origin is None and spec.submodule_search_locations is not None
