"""Import statements in a model's code mean the model's own files."""

from __future__ import annotations

import datetime
import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.loader.conftest import World


def test_models_with_the_same_file_names_each_get_their_own(world: World) -> None:
    """A model answers with the helpers of the model that was loaded before it."""
    files = {"etls.py": "import helpers\nfrom pkg.sub import NAME", "pkg/__init__.py": ""}
    first = world.load({**files, "helpers.py": "NAME = 'a'", "pkg/sub.py": "NAME = 'a'"}, name="A")
    second = world.load({**files, "helpers.py": "NAME = 'b'", "pkg/sub.py": "NAME = 'b'"}, name="B")
    assert [first.helpers.NAME, first.NAME, second.helpers.NAME, second.NAME] == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    "statement",
    [
        "import helpers as h",
        "from . import helpers as h",
        "from .helpers import X; import helpers as h; assert h.X is X",
        "from models_serve.Churn import helpers as h",
        "import models_serve.Churn.helpers as h",
        "import models_serve.Churn.helpers; h = models_serve.Churn.helpers",
        "import importlib; h = importlib.import_module('helpers')",
        "import importlib; h = importlib.import_module('models_serve.Churn.helpers')",
        "import importlib; h = importlib.import_module('.helpers', __package__)",
        "h = __import__('helpers')",
        "h = __import__('pkg', fromlist=['up']).up.helpers; __import__('pkg', fromlist=['deep']).deep",
        "from pkg import up; h = up.helpers",
        "from pkg.deep import up; h = up.helpers",
        "import models_serve.Churn.pkg.up as u; h = u.helpers",
    ],
)
def test_every_spelling_names_the_same_module(world: World, statement: str) -> None:
    """`isinstance` fails between two copies of one class, because two spellings of its file gave two modules."""
    etls = world.load(
        {
            "etls.py": f"{statement}\nfrom helpers import X as expected\n",
            "helpers.py": "class X: pass",
            "pkg/__init__.py": "",
            "pkg/up.py": "from .. import helpers",
            "pkg/deep/__init__.py": "",
            "pkg/deep/up.py": "from ... import helpers\nfrom ..up import helpers as same\nassert same is helpers",
        }
    )
    assert etls.h.X is etls.expected


@pytest.mark.parametrize("where", ["etls", "pkg"])
def test_shared_code_is_found_by_name_and_relatively(world: World, where: str) -> None:
    """Code beside the models, which several of them use, is not found, or twice."""
    dots = {"etls": "..", "pkg": "..."}[where]
    code = f"""
        import features
        from common.text import clean
        from {dots}common.text import clean as relative
        from {dots} import features as beside
        import models_serve.common.text as absolute
        assert relative is clean and beside is features and absolute.clean is clean
        assert features.clean is clean
        """
    etls = world.load(
        {
            "etls.py": "from pkg.mod import clean" if where == "pkg" else code,
            "pkg/__init__.py": "",
            "pkg/mod.py": code,
        },
        shared={
            "common/__init__.py": "",
            "common/text.py": "from . import base\nfrom .base import clean\nfrom ..features import clean as same",
            "common/base.py": "def clean(text): return text.strip()",
            "features.py": "from common.base import clean",
        },
    )
    assert etls.clean(" x ") == "x"


def test_shared_code_keeps_apart_from_a_sibling_of_its_name(world: World) -> None:
    """`from ..common import x` gives the sibling `common.py`."""
    etls = world.load(
        {"etls.py": "import common\nfrom ..common import NAME", "common.py": "NAME = 'own'"},
        shared={"common.py": "NAME = 'shared'"},
    )
    assert (etls.common.NAME, etls.NAME) == ("own", "shared")


def test_a_sibling_shadows_an_installed_module_for_the_model_alone(world: World) -> None:
    """A `calendar.py` beside etls.py breaks `datetime.strptime` for the whole process."""
    etls = world.load(
        {
            "etls.py": """
                import calendar, json, datetime, copy, importlib
                sys_calendar = importlib.import_module("calendar")
                day = datetime.datetime.strptime("2024-02-29", "%Y-%m-%d")
                """,
            "calendar.py": "NAME = 'own'",
            "copy.py": "NAME = 'own'",
            "json/__init__.py": "NAME = 'own'",
            "_strptime.py": "raise RuntimeError('C code got the sibling')",
        }
    )
    names = [module.NAME for module in (etls.calendar, etls.sys_calendar, etls.copy, etls.json)]
    assert names == ["own"] * 4
    assert etls.day == datetime.datetime(2024, 2, 29)
    assert sys.modules["calendar"].month_name[2] == "February"


def test_a_data_folder_named_like_a_library_does_not_shadow_it(world: World) -> None:
    """A folder `pandas/` full of CSV files hides pandas."""
    etls = world.load({"etls.py": "import pandas, json", "pandas/rows.csv": "1,2", "json/x.csv": ""})
    assert (etls.pandas.__name__, callable(etls.pandas.DataFrame), callable(etls.json.dumps)) == (
        "pandas",
        True,
        True,
    )


def test_a_folder_without_init_is_a_package(world: World) -> None:
    """`import utils.text` fails because nobody wrote `utils/__init__.py`."""
    files = {
        "etls.py": "import nets.text\nfrom nets.deep.more import N",
        "nets/text.py": "T = 1",
        "nets/deep/more.py": "N = 2",
    }
    etls = world.load(files)
    assert (etls.nets.text.T, etls.N) == (1, 2)


def test_modules_that_import_each_other_load(world: World) -> None:
    """Siblings that import each other in a circle fail, though Python takes them."""
    etls = world.load(
        {
            "etls.py": "import a\nfrom pkg import one",
            "a.py": "import b\nX = 1",
            "b.py": "import a\nimport etls\ndef x(): return a.X",
            "pkg/__init__.py": "",
            "pkg/one.py": "from pkg import two\nfrom . import two as same\nX = 2",
            "pkg/two.py": "from pkg import one\nfrom . import one as same\ndef x(): return one.X",
        }
    )
    assert (etls.a.b.x(), etls.one.two.x()) == (1, 2)


def test_modules_know_where_they_are(world: World) -> None:
    """`Path(__file__).parent / "model.bin"` points nowhere; spaces and accents in the path break it."""
    namespace = world.open(
        {"etls.py": "import helpers, pkg", "helpers.py": "", "pkg/__init__.py": ""}, name="mé trica"
    )
    etls = namespace.load()
    assert (etls.__name__, etls.__file__) == ("etls", f"{namespace.path}etls.py")
    assert (etls.helpers.__file__, etls.helpers.__spec__.origin) == (f"{namespace.path}helpers.py",) * 2
    assert (etls.pkg.__package__, list(etls.pkg.__path__)) == ("pkg", [f"{namespace.path}pkg"])


def test_stale_bytecode_is_never_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two edits within a second, of the same length, serve the first one's code; a snapshot gets a `__pycache__`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for number in range(2):
        namespace = world.open({"etls.py": "import helpers", "helpers.py": f"X = {number}"})
        os.utime(namespace.folder / "helpers.py", (1, 1))
        assert number == namespace.load().helpers.X
        namespace.close()
    assert list(world.root.rglob("__pycache__")) == []


def test_star_import_and_module_getattr(world: World) -> None:
    """`from pkg import *` leaves out the submodules in `__all__`; PEP 562 modules lose their lazy names."""
    etls = world.load(
        {
            "etls.py": "from pkg import *\nfrom lazy import anything\nimport lazy",
            "pkg/__init__.py": "__all__ = ['sub', 'X']\nX = 1",
            "pkg/sub.py": "",
            "lazy.py": "def __getattr__(name):\n    return name.upper()",
        }
    )
    assert (etls.sub.__name__, etls.X, etls.anything) == ("pkg.sub", 1, "ANYTHING")


def test_a_package_beside_the_model_may_be_a_module_that_replaces_itself(world: World) -> None:
    """`sys.modules[__name__] = object()` in a sibling is lost, or answers for other models."""
    etls = world.load(
        {
            "etls.py": "import config",
            "config.py": "import sys\nclass Config:\n    rate = 0.5\nsys.modules[__name__] = Config()",
        }
    )
    assert etls.config.rate == 0.5


def test_the_package_file_of_a_model_folder(world: World) -> None:
    """`from . import RATE` does not see the folder's `__init__.py`; or a broken one, never needed, stops the load."""
    etls = world.load({"etls.py": "from . import helpers, RATE", "helpers.py": "", "__init__.py": "RATE = 2"})
    assert etls.RATE == 2
    broken = {
        "etls.py": "from . import helpers",
        "helpers.py": "",
        "__init__.py": "from Churn.etls import Model",
    }
    assert world.load(broken, version="2").helpers.__name__ == "helpers"
