"""requirements.txt says truly what the server and the examples need."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.processes import REPOSITORY

TEXT = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
SERVER, EXAMPLES, USERS = re.split(r"^# Libraries of .*$", TEXT, flags=re.MULTILINE)
#: Where a distribution and what one imports of it have different names.
IMPORTED_AS = {"prometheus-client": "prometheus_client", "xgboost-cpu": "xgboost"}
#: What another distribution of the list always brings along.
BROUGHT_ALONG = {"typing_extensions", "pydantic_core"}


def listed(text: str) -> set[str]:
    """Return what may be imported once these lines are installed."""
    names = re.findall(r"^([A-Za-z0-9_.-]+)==\S+", text, flags=re.MULTILINE)
    return {IMPORTED_AS.get(name, name) for name in names}


def imported(paths: Iterable[Path]) -> set[str]:
    """Return the third-party packages that the files import."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    own = {path.stem for path in (*REPOSITORY.glob("*"), *REPOSITORY.glob("models_serve/*/*.py"))}
    newer = {"annotationlib"}  # of the standard library since Python 3.14
    return found - own - set(sys.stdlib_module_names) - newer


def server_files() -> list[Path]:
    """Return the files of the program."""
    return [*REPOSITORY.glob("*.py"), *REPOSITORY.glob("loader/**/*.py"), *REPOSITORY.glob("web/**/*.py")]


def is_guarded(name: str) -> bool:
    """Tell whether the program goes on without the library: models bring it, the server only knows of it."""
    return name in {"numpy", "pandas"}


def test_server_part_lists_what_the_server_imports() -> None:
    """Otherwise a user who drops the examples' libraries drops one that the server needs."""
    needed = {name for name in imported(server_files()) if not is_guarded(name)}
    assert needed - BROUGHT_ALONG == listed(SERVER)


def test_examples_part_lists_what_the_examples_import() -> None:
    """Otherwise an example does not load on a fresh machine."""
    served = [
        path for path in REPOSITORY.glob("models_serve/*/*.py") if path.name in {"etls.py", "gaussian.py"}
    ]
    assert imported(served) | {"pandas"} == listed(EXAMPLES) | (listed(SERVER) & imported(served))


def test_every_requirement_is_pinned() -> None:
    """Otherwise the same commit installs something else next month."""
    lines = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.match(r"[A-Za-z0-9_.-]+==\d", line)] == []


def test_last_part_is_empty_and_the_users() -> None:
    """Otherwise users write into the server's part, and an update of the server takes it away."""
    assert listed(USERS) == set()
    assert "# Libraries of your models. Add one to a line" in TEXT
