"""Each module imports only what stands above it in its package's list."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def listed(package: str) -> list[str]:
    """Return the modules that the package's docstring lists, in order."""
    doc = ast.get_docstring(ast.parse((REPOSITORY / package / "__init__.py").read_text())) or ""
    names = re.findall(r"^(?:    )?(\w+)/? {2,}\S", doc, re.MULTILINE)
    return [f"{package.replace('/', '.')}.{name}" for name in names]


def imports_of(path: Path) -> set[str]:
    """Return the names of the project's own modules that a file imports."""
    found = set()
    tree = ast.parse(path.read_text())
    typing_only = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    skipped = {id(inner) for node in typing_only for inner in ast.walk(node)}
    for node in (node for node in ast.walk(tree) if id(node) not in skipped):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {
        name
        for name in found
        if name.split(".")[0] in {"loader", "web", "server", "settings", "logs", "check"}
    }


@pytest.mark.parametrize("package", ["loader", "web", "web/engine"])
def test_every_module_is_listed(package: str) -> None:
    """A file without a place in the list has no home."""
    files = {f"{package.replace('/', '.')}.{path.stem}" for path in (REPOSITORY / package).glob("*.py")}
    folders = {
        f"{package.replace('/', '.')}.{path.parent.name}"
        for path in (REPOSITORY / package).glob("*/__init__.py")
    }
    assert set(listed(package)) == (files | folders) - {f"{package.replace('/', '.')}.__init__"}


@pytest.mark.parametrize("package", ["loader", "web", "web/engine"])
def test_imports_run_one_way(package: str) -> None:
    """A reader would have to jump back and forth."""
    order = listed(package)
    wrong = []
    for place, module in enumerate(order):
        path = REPOSITORY / f"{module.replace('.', '/')}.py"
        if path.exists():
            later = set(order[place:]) & imports_of(path)
            wrong += [f"{module} imports {name}" for name in sorted(later)]
    assert wrong == []


def test_the_loader_never_imports_the_web() -> None:
    """The two ways, of a request and of a commit, would meet in more than one place."""
    wrong = [
        f"{path.name} imports {name}"
        for path in (REPOSITORY / "loader").glob("*.py")
        for name in imports_of(path)
        if not name.startswith("loader")
    ]
    assert wrong == []


def test_only_the_engine_knows_cheroot() -> None:
    """The server could not be replaced without touching everything."""
    knows = {
        path.relative_to(REPOSITORY).parts[:2]
        for folder in ("loader", "web")
        for path in (REPOSITORY / folder).rglob("*.py")
        if re.search(r"^\s*(?:import|from) (?:cheroot|httptools)", path.read_text(), re.MULTILINE)
    }
    assert knows <= {("web", "engine"), ("web", "httpd.py")}
