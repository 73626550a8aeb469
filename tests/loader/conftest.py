"""Fixtures of the import world: real folders, real versions, a real session of the author's Python."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from loader.facades import Facade
from loader.imports import Imports
from loader.namespace import Namespace


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write *files*, path to text, under *folder* and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return folder


def process_state() -> dict[str, Any]:
    """Return what no model may change for good."""
    return {
        "modules": {name for name, module in list(sys.modules.items()) if isinstance(module, Facade)},
        "main": sys.modules["__main__"],
        "path": list(sys.path),
        "finders": [finder for finder in sys.meta_path if isinstance(finder, Imports)],
        "directory": str(Path.cwd()),
        "filters": list(warnings.filters),
    }


class World:
    """Model folders on disk, and their versions in memory."""

    def __init__(self, imports: Imports, root: Path) -> None:
        self.imports = imports
        self.root = root

    def open(
        self,
        files: Mapping[str, str],
        name: str = "Churn",
        version: str = "1",
        shared: Mapping[str, str] | None = None,
    ) -> Namespace:
        """Open a version of the model *name* that consists of *files*."""
        folder = write_files(self.root / "models" / version / name, files)
        beside = None if shared is None else write_files(self.root / "shared" / version, shared)
        return self.imports.open(name, folder, beside)

    def load(self, files: Mapping[str, str], **options: Any) -> ModuleType:
        """Open a version and return its `etls` module."""
        return self.open(files, **options).load()


@pytest.fixture
def imports() -> Iterator[Imports]:
    """The hooks, in place for one test; nothing of a model may be left when they are taken out."""
    before, threads = process_state(), set(threading.enumerate())
    imports = Imports()
    imports.install()
    yield imports
    imports.uninstall()
    assert process_state() == before
    for thread in set(threading.enumerate()) - threads:  # those of a pool end some time after the pool
        thread.join(timeout=20)
    assert set(threading.enumerate()) <= threads


@pytest.fixture
def world(imports: Imports, tmp_path: Path) -> World:
    """Return a place to write models and open versions of them."""
    return World(imports, tmp_path)


@pytest.fixture
def author(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that runs a script in a model folder, as its author does, and returns the folder."""

    def run(files: Mapping[str, str], script: str) -> Path:
        folder = write_files(tmp_path / "author" / "Churn", files)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        subprocess.run([sys.executable, script], cwd=folder, env=clean, check=True, timeout=60)
        return folder

    return run
