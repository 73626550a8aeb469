"""Versions come and go: nothing of them stays, and none holds another up."""

from __future__ import annotations

import gc
import linecache
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import threading
import traceback
import tracemalloc
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.loader.conftest import World

#: Touches what the process keeps of code: caches of the standard library, threads, look-ups by name.
BUSY = {
    "etls.py": """
        from __future__ import annotations
        import abc, copyreg, dataclasses, enum, functools, importlib, inspect, logging, pickle, re, threading, typing
        from concurrent.futures import ThreadPoolExecutor
        from pydantic import BaseModel, TypeAdapter
        import helpers, models_serve.Churn.helpers
        from .pkg import sub
        from helpers import X

        class Row(BaseModel):
            x: typing.Optional[int] = None
            others: typing.List[Row] = []

        @dataclasses.dataclass
        class Plain:
            x: typing.Optional[X]

        class Colour(enum.Enum):
            RED = 1

        class Base(abc.ABC):
            @abc.abstractmethod
            def run(self): ...
        Base.register(X)

        copyreg.pickle(X, lambda x: (X, ()))
        weights = bytearray(2_000_000)
        log = logging.getLogger("helpers")

        @functools.lru_cache
        def cached(x):
            return x

        def call():
            from pkg import late
            assert isinstance(X(), Base)
            with ThreadPoolExecutor(2) as pool:
                kinds = set(map(type, pool.map(pickle.loads, [pickle.dumps(X())] * 2)))
            typing.get_type_hints(Plain)
            TypeAdapter(Plain).json_schema() if False else Row.model_validate({"others": [{"x": 1}]})
            cached(X())
            inspect.getsource(X)
            try:
                raise ValueError(importlib.import_module("pkg.late"))
            except ValueError:
                log.debug("", exc_info=True)
            return kinds == {X}
        """,
    "helpers.py": "class X:\n    pass",
    "pkg/__init__.py": "",
    "pkg/sub.py": "import typing\nfrom helpers import X\nMaybe = typing.Optional[X]\nMany = typing.List[X]",
    "pkg/late.py": "",
}


def test_a_closed_version_is_freed(world: World) -> None:
    """Each reload keeps the old version's weights for ever."""
    namespace = world.open(BUSY)
    etls = namespace.load()
    assert etls.call() is True
    left = [
        weakref.ref(thing)
        for thing in (namespace, etls, etls.helpers, etls.X, etls.Row, etls.Plain, etls.call)
    ]
    namespace.close()
    del namespace, etls
    gc.collect()
    assert [reference() for reference in left] == [None] * len(left)


def test_200_versions_leave_nothing(world: World) -> None:
    """A server that reloads daily ends in an OOM kill."""

    def reload() -> None:
        namespace = world.open(BUSY)
        assert namespace.load().call() is True
        namespace.close()

    for _ in range(10):
        reload()
    gc.collect()
    modules, threads = set(sys.modules), threading.active_count()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            reload()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (set(sys.modules) - modules, threading.active_count()) == (set(), threads)
    assert after - before < 500_000


def test_closing_one_version_leaves_the_other_its_names(world: World) -> None:
    """The new version's pickles break the moment the old one is dropped."""
    files = {
        "etls.py": "import pickle\nfrom helpers import X\ndef call():\n    return pickle.loads(pickle.dumps(X)) is X",
        "helpers.py": "class X: pass",
    }
    old, new = world.open(files, version="1"), world.open(files, version="2")
    modules = [old.load(), new.load()]
    old.close()
    old.close()
    assert (modules[1].call(), "helpers" in sys.modules) == (True, True)
    new.close()
    assert ("helpers" in sys.modules, "etls" in sys.modules, "models_serve" in sys.modules) == (
        False,
        False,
        False,
    )


def test_a_call_inside_a_closed_version_keeps_its_modules(world: World) -> None:
    """A call that outlives its version ends in an ImportError, or in another version's code."""
    files = {"etls.py": "def call():\n    import late\n    return late.VALUE"}
    old = world.open({**files, "late.py": "VALUE = 'old'"}, version="1")
    etls = old.load()
    new = world.open({**files, "late.py": "VALUE = 'new'"}, version="2")
    new.load().call()
    old.close()
    assert etls.call() == "old"


def test_a_library_that_imports_plug_ins_runs_them(world: World) -> None:
    """Plug-ins that register themselves when they are imported never do, if a library does the importing."""
    library: dict[str, Any] = {}
    exec("import importlib\ndef load(name):\n    importlib.import_module(name)", library)
    etls = world.load(
        {
            "etls.py": "seen = []\ndef call(load):\n    load('plugins.one')\n    return seen",
            "plugins/one.py": "import etls\netls.seen.append('one')",
        }
    )
    assert etls.call(library["load"]) == ["one"]


def test_a_library_that_imports_by_name_leaves_the_modules_whole(world: World) -> None:
    """`pkgutil.resolve_name("pkg.sub:X")` leaves a stand-in for the submodule in the model's own package."""
    etls = world.load(
        {
            "etls.py": """
                import pkg, pkgutil
                found = pkgutil.resolve_name("pkg.sub:X")
                import pkg.sub
                same = pkgutil.resolve_name("models_serve.Churn.pkg.sub:X")
                """,
            "pkg/__init__.py": "",
            "pkg/sub.py": "X = object()",
        }
    )
    assert (etls.found is etls.same is etls.pkg.sub.X, type(etls.pkg.sub)) == (True, type(sys))
    kinds = [type(module.__spec__.loader).__name__ for module in (etls.pkg, etls.pkg.sub)]
    assert kinds == ["SourceLoader", "SourceLoader"]


def test_multiprocessing_imported_by_a_model_keeps_no_stand_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`multiprocessing` gives `__main__` a second name, which stays when the models are gone."""
    main = sys.modules["__main__"]
    monkeypatch.delitem(sys.modules, "multiprocessing", raising=False)
    namespace = world.open({"etls.py": "import multiprocessing"})
    namespace.load()
    namespace.close()
    assert (sys.modules["__main__"], sys.modules["__mp_main__"]) == (main, main)


def test_tracebacks_show_the_source_and_are_forgotten(world: World) -> None:
    """A status without the line that failed; or the old files' text kept for ever."""
    namespace = world.open(
        {"etls.py": "import helpers", "helpers.py": "def fail():\n    raise ValueError('here')"}
    )
    try:
        namespace.load().helpers.fail()
    except ValueError as error:
        text = "".join(traceback.format_exception(error))
    assert "raise ValueError('here')" in text
    namespace.close()
    assert [file for file in linecache.cache if file.startswith(namespace.path)] == []


def test_what_a_model_put_into_sys_modules_goes_with_it(world: World) -> None:
    """A module that model code registered by hand stays with all that it refers to."""
    namespace = world.open(
        {
            "etls.py": """
                import importlib.util, sys, types
                spec = importlib.util.spec_from_file_location("by_hand_x", __file__.replace("etls", "extra"))
                module = importlib.util.module_from_spec(spec)
                sys.modules["by_hand_x"] = module
                spec.loader.exec_module(module)
                """,
            "extra.py": "",
        }
    )
    namespace.load()
    assert "by_hand_x" in sys.modules
    namespace.close()
    assert "by_hand_x" not in sys.modules


def test_two_instances_of_one_version_share_what_they_put_there(world: World) -> None:
    """A fresh instance of a version whose calls are stuck loses what it needs when the stuck one is dropped."""
    code = """
        import importlib.util, sys
        from pathlib import Path
        if "by_hand_y" not in sys.modules:
            spec = importlib.util.spec_from_file_location("by_hand_y", __file__.replace("etls", "extra"))
            sys.modules["by_hand_y"] = importlib.util.module_from_spec(spec)
        sys.path.append(str(Path(__file__).parent / "lib"))
        def call():
            import inner
            return inner.VALUE, "by_hand_y" in sys.modules
        """
    files = {"etls.py": code, "extra.py": "", "lib/inner.py": "VALUE = 1"}
    stuck, fresh = world.open(files), world.open(files)
    stuck.load()
    etls = fresh.load()
    stuck.close()
    assert etls.call() == (1, True)
    fresh.close()
    assert "by_hand_y" not in sys.modules


def test_a_compiled_file_without_source_is_imported(world: World) -> None:
    """A model that ships `helpers.pyc` alone does not load."""
    namespace = world.open({"etls.py": "import helpers", "helpers.py": "VALUE = 7"})
    source = namespace.folder / "helpers.py"
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
    source.unlink()
    assert namespace.load().helpers.VALUE == 7


EXTENSION = """
#include <Python.h>
static PyObject *load(PyObject *self, PyObject *args) { return PyImport_ImportModule("helpers"); }
static PyMethodDef methods[] = {{"load", load, METH_NOARGS, NULL}, {NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, methods};
PyMODINIT_FUNC PyInit_fast(void) {
    PyObject *module = PyModule_Create(&def);
    PyModule_AddIntConstant(module, "VALUE", VERSION);
    return module;
}
"""


def test_an_extension_module_beside_the_model_is_imported(world: World) -> None:
    """A model's own `.so` does not load, is another version's, or stays in `sys.modules`."""
    compiler = shutil.which("cc")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if compiler is None or not header.exists():
        pytest.skip("no C compiler or no Python headers: apt-get install gcc python3-dev")
    files = {"etls.py": "import fast", "helpers.py": "VALUE = 1", "fast.c": EXTENSION}
    for version in ("1", "2"):
        namespace = world.open(files, version=version)
        include, suffix = sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX")
        command = [
            compiler,
            "-shared",
            "-fPIC",
            f"-I{include}",
            f"-DVERSION={version}",
            "fast.c",
            "-o",
            f"fast{suffix}",
        ]
        subprocess.run(command, cwd=namespace.folder, check=True, timeout=60)
        etls = namespace.load()
        assert (etls.fast.VALUE, etls.fast.__name__) == (int(version), "fast")
        assert type(sys.modules["fast"]) is not type(sys)
        with namespace.running():
            assert etls.fast.load().VALUE == 1
        namespace.close()
    assert "fast" not in sys.modules
