"""An import that fails says why, in the author's terms, and leaves nothing half-made."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.loader.conftest import World


@pytest.mark.parametrize("statement", ["import models_serve.Other.helpers", "from models_serve import Other"])
def test_another_models_folder_is_refused_with_the_way_out(world: World, statement: str) -> None:
    """A model that uses another's files breaks when the other changes, and nothing says why."""
    with pytest.raises(ImportError, match="beside the models"):
        world.load({"etls.py": statement})


def test_a_module_that_fails_leaves_no_half_of_itself(world: World) -> None:
    """The second import of a broken file gives an empty module and another error."""
    etls = world.load(
        {
            "etls.py": "def call():\n    import broken\n    return broken",
            "broken.py": "X = 1\nimport other\nraise RuntimeError('no database')",
            "other.py": "import broken",
        }
    )
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no database"):
            etls.call()
    assert "broken" not in etls.__builtins__["__model_namespace__"].modules


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import nothing_here", "No module named 'nothing_here'"),
        ("import helpers.more", "No module named 'helpers.more'; 'helpers' is not a package"),
        ("from pkg import nothing", r"cannot import name 'nothing' from 'pkg' \(.*__init__.py\)"),
        ("from . import nothing", "cannot import name 'nothing'"),
        ("from .nothing import x", "No module named 'nothing'"),
        ("from ... import x", "beyond"),
    ],
)
def test_a_failing_import_says_what_python_says(world: World, statement: str, message: str) -> None:
    """The author cannot tell from the status which name is wrong."""
    with pytest.raises(ImportError, match=message):
        world.load({"etls.py": statement, "helpers.py": "", "pkg/__init__.py": ""})


def test_a_module_of_another_model_is_not_there(world: World) -> None:
    """`try: import fast except ImportError` takes the module of another model for its own."""
    world.load({"etls.py": "import fast", "fast.py": ""}, name="A")
    etls = world.load({"etls.py": "try:\n    import fast\nexcept ImportError:\n    fast = None"}, name="B")
    assert etls.fast is None


def test_syntax_errors_name_the_file(world: World) -> None:
    """The status shows a broken line without its file."""
    with pytest.raises(SyntaxError) as caught:
        world.load({"etls.py": "import helpers", "helpers.py": "x = = 1"})
    assert (caught.value.filename, caught.value.lineno) == (
        str(world.root / "models/1/Churn/helpers.py"),
        1,
    )


def test_tracebacks_show_the_models_files_only(world: World) -> None:
    """The status keeps the last lines of a traceback, and they are all of the server's import machinery."""
    files = {
        "etls.py": "import a",
        "a.py": "from pkg import b",
        "pkg/b.py": "import importlib\nimportlib.import_module('c')",
    }
    with pytest.raises(KeyError) as caught:
        world.load({**files, "c.py": "{}['x']"})
    frames = [Path(frame.filename).name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert [
        name for name in frames if "test_" not in name and name not in ("conftest.py", "namespace.py")
    ] == [
        "etls.py",
        "a.py",
        "b.py",
        "c.py",
    ]
