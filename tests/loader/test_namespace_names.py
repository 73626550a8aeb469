"""Whose module a name means: the model's, another model's, the server's, or an installed one."""

from __future__ import annotations

import json
import pickle
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import settings
from loader.facades import Facade
from loader.imports import Imports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.loader.conftest import World


def test_server_code_sees_no_module_of_a_model(world: World) -> None:
    """A library's optional `import helpers` outside of any model gets a model's file."""
    world.load({"etls.py": "import helpers", "helpers.py": "X = 1"}, name="A")
    world.load({"etls.py": "import helpers", "helpers.py": "X = 2"}, name="B")
    assert not hasattr(sys.modules["helpers"], "X")
    code = compile("import importlib\nimportlib.import_module('helpers')", "library.py", "exec")
    with pytest.raises(ModuleNotFoundError, match="No module named 'helpers'"):
        exec(code, {})


def test_a_thread_of_nobody_finds_the_only_one(world: World) -> None:
    """A callback from a native library's thread cannot unpickle, though only one model can be meant."""
    world.load({"etls.py": "import helpers", "helpers.py": "X = 1"}, name="A")
    ask = compile("found.append(getattr(sys.modules['helpers'], 'X', None))", "library.py", "exec")
    ask_server = compile(
        "found.append(getattr(sys.modules['helpers'], 'X', None))", settings.__file__, "exec"
    )
    found: list[object] = []
    exec(ask, {"found": found, "sys": sys})
    exec(ask_server, {"found": found, "sys": sys})
    world.load({"etls.py": "import helpers", "helpers.py": "X = 2"}, name="B")
    exec(ask, {"found": found, "sys": sys})
    assert found == [1, None, None]


def test_the_servers_own_module_names_are_free_for_models(world: World) -> None:
    """A model with a `settings.py` or a package `web/` gets the server's, or the server gets the model's."""
    import loader
    import logs

    etls = world.load(
        {
            "etls.py": """
                import importlib, pickle, loader, logs, settings, server, web.pages
                def call():
                    blobs = [pickle.dumps(kind()) for kind in (settings.Own, loader.Own, logs.Own, web.pages.Own)]
                    kinds = [type(pickle.loads(blob)) for blob in blobs] + [type(pickle._loads(blobs[0]))]
                    return kinds, importlib.import_module("settings").Own, importlib.import_module("web.pages").Own
                """,
            **{
                f"{name}.py": "class Own: pass"
                for name in ("settings", "loader", "logs", "server", "web/pages")
            },
        }
    )
    own = [etls.settings.Own, etls.loader.Own, etls.logs.Own, etls.web.pages.Own, etls.settings.Own]
    assert etls.call() == (own, etls.settings.Own, etls.web.pages.Own)
    assert [sys.modules[name].__doc__ for name in ("settings", "logs", "loader")] == [
        module.__doc__ for module in (settings, logs, loader)
    ]
    assert pickle.loads(pickle.dumps(loader.namespace.Namespace)) is loader.namespace.Namespace


def test_a_server_module_that_nobody_has_imported_yet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's first `import check` gets the `check.py` of a model."""
    monkeypatch.delitem(sys.modules, "check", raising=False)
    etls = world.load({"etls.py": "import check", "check.py": "OWN = 1"})
    scope: dict[str, object] = {}
    exec(compile("import check\nfile = check.__file__", settings.__file__, "exec"), scope)
    assert (etls.check.OWN, scope["file"]) == (1, settings.__file__.replace("settings.py", "check.py"))


def test_a_folder_of_the_server_is_no_installed_module(world: World) -> None:
    """A model's `charts.py` cannot be found by name, because the server's folder has a `charts/` of YAML files."""
    files = {
        "etls.py": "import charts, pickle\nfound = pickle.loads(b'ccharts\\nX\\n.')",
        "charts.py": "X = 1",
    }
    assert world.load(files).found == 1


def test_the_working_directory_on_the_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that changes into its folder is not found by name where `sys.path` has the working directory."""
    monkeypatch.syspath_prepend("")
    folder = tmp_path / "Churn"
    folder.mkdir()
    code = "import os, pickle\nos.chdir(os.path.dirname(__file__))\nfound = pickle.loads(b'chere_x\\nX\\n.')"
    (folder / "etls.py").write_text(code)
    (folder / "here_x.py").write_text("X = 1")
    imports = Imports()
    imports.install()
    try:
        assert imports.open("Churn", folder, None).load().found == 1
        assert isinstance(sys.modules["here_x"], Facade)
    finally:
        imports.uninstall()


def test_a_class_in_the_models_init_of_the_server_process_is_found_as_main(world: World) -> None:
    """`import __main__; __main__.Tokenizer = Tokenizer`, the usual cure for a notebook's pickle, breaks the server."""
    main = sys.modules["__main__"]
    etls = world.load(
        {
            "etls.py": """
                import __main__, pickle
                class Tokenizer: pass
                __main__.Alias = Tokenizer
                blob = b"c__main__\\nAlias\\n)R."
                def call():
                    return type(pickle.loads(blob)) is Tokenizer
                """
        }
    )
    assert (etls.call(), hasattr(main, "Alias")) == (True, False)


def test_threads_of_the_server_belong_to_nobody(world: World) -> None:
    """A thread that the server starts while it works for a model belongs to the model for ever."""
    namespace = world.open({"etls.py": ""})
    namespace.load()
    owners: list[object] = []
    own = {"thread": threading.Thread(target=lambda: owners.append(world.imports.calling()))}
    with namespace.running():
        exec(compile("thread.start()", settings.__file__, "exec"), own)
    own["thread"].join()
    assert owners == [None]


def test_walking_through_sys_modules_meets_no_trap(world: World) -> None:
    """`inspect.getmodule` and pickle go through all of `sys.modules`, and trip over another model's names."""
    other = {"etls.py": "import models_serve.Other.helpers, pkg.sub", "helpers.py": "", "pkg/sub.py": ""}
    world.load(other, name="Other")
    etls = world.load(
        {
            "etls.py": """
                import inspect, pickle, sys
                def call():
                    namespace = {}
                    exec("def made(): pass", namespace)
                    inspect.getmodule(namespace["made"])
                    pickle.whichmodule(object(), "nothing")
                    return [hasattr(module, "no_such") for module in list(sys.modules.values())].count(True)
                """
        }
    )
    assert etls.call() == 0
    assert [hasattr(module, "no_such") for module in list(sys.modules.values())].count(True) == 0


SHADOWS = """
    from __future__ import annotations
    import dataclasses, pickle, sys, typing
    from . import inner
    from ..helpers import H
    from pydantic import BaseModel
    @dataclasses.dataclass
    class Row:
        x: Kind
    Kind = int
    class Valid(BaseModel):
        row: Row
    def answers():
        hints = typing.get_type_hints(Row)["x"] is Kind
        round_trip = type(pickle.loads(pickle.dumps(Row(1)))) is Row is type(pickle._loads(pickle._dumps(Row(1))))
        return hints, round_trip, sys.modules[__name__].Row is Row, Valid(row={"x": 1}).row.x, inner.H is H
    """


@pytest.mark.parametrize("name", ["sched", "json", "yaml_x"])
def test_a_file_named_like_an_installed_module_is_whole(world: World, name: str) -> None:
    """In a sibling `profile.py` a dataclass does not load, a type is not found, an object cannot be pickled."""
    files = {
        f"{name}/__init__.py": SHADOWS,
        f"{name}/inner.py": "from helpers import H",
        "helpers.py": "class H: pass",
    }
    code = f"""
        import pickle, {name}, {name}.inner
        def save():
            return pickle.dumps({name}.Row(1))
        def read(blob):
            return pickle.loads(blob)
        """
    first = world.load({"etls.py": code, **files})
    second = world.load({"etls.py": code, **files}, version="2")
    for etls in (first, second):
        assert vars(etls)[name].answers() == (True, True, True, 1, True)
    assert type(second.read(first.save())) is vars(second)[name].Row
    assert name not in ("sched", "json") or sys.modules.get(name, json).__file__.startswith(
        json.__file__[:12]
    )
