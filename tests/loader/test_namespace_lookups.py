"""Whoever looks a model's module up by its name, while the model runs, finds this version's."""

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
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from tests.loader.conftest import World

BY_NAME = """
    from __future__ import annotations
    import abc, copy, copyreg, dataclasses, enum, functools, importlib, inspect, io, json, logging, pickle, pkgutil
    import typing, importlib.resources, importlib.util
    import helpers
    from helpers import X

    @dataclasses.dataclass
    class Row:
        x: X
        kind: typing.ClassVar[str] = "row"
        others: list[Row] = dataclasses.field(default_factory=list)

    class Typed(typing.TypedDict):
        x: X

    class Named(typing.NamedTuple):
        x: X

    class Colour(enum.Enum):
        RED = 1

    class Base(abc.ABC):
        @abc.abstractmethod
        def run(self): ...

    @functools.singledispatch
    def size(value: object) -> int:
        return 0

    @size.register
    def _(value: X) -> int:
        return 1

    class Odd:
        pass

    copyreg.pickle(Odd, lambda odd: (Odd, ()))

    def dataclass_fields():
        return [field.name for field in dataclasses.fields(Row)]

    def hints():
        return [typing.get_type_hints(kind)["x"] is X for kind in (Row, Typed, Named)]

    def dispatch():
        return size(X())

    def pickles():
        values = [X(), Row(X()), Named(X()), Colour.RED, Odd(), helpers.X.Inner(), len, X.run, helpers.late]
        again = [pickle.loads(pickle.dumps(value, protocol)) for value in values for protocol in (0, 2, 4, 5)]
        slow = [pickle._loads(pickle._dumps(value, protocol)) for value in values for protocol in (0, 2, 4, 5)]
        return {type(value).__module__ for value in again + slow}

    def copies():
        return copy.deepcopy(Row(X())).x.__class__ is X

    def source():
        return inspect.getsource(X).splitlines()[0], inspect.getmodule(X).__name__, inspect.getsource(Row)[:10]

    def resources():
        text = importlib.resources.files("pkg").joinpath("words.txt").read_text()
        data = importlib.resources.files("data").joinpath("more.txt").read_text()
        return text, pkgutil.get_data("pkg", "words.txt"), pkgutil.get_data("helpers", "pkg/words.txt"), data

    def modules_of_package():
        import pkg
        return sorted(module.name for module in pkgutil.iter_modules(pkg.__path__))

    def specs():
        names = ("helpers", "pkg.lazy", "late", "nothing")
        return [bool(importlib.util.find_spec(name)) for name in names]

    def plugins():
        return importlib.import_module("pkg.sub").VALUE, importlib.import_module("late").VALUE, helpers.registered

    def loggers():
        return logging.getLogger("helpers").name
    """

FILES = {
    "etls.py": BY_NAME,
    "helpers.py": """
        registered = []
        class X:
            class Inner:
                pass
            def run(self):
                return 1
        def late():
            pass
        """,
    "pkg/__init__.py": "",
    "pkg/sub.py": "import helpers\nVALUE = 1\nhelpers.registered.append('sub')",
    "pkg/lazy.py": "raise RuntimeError('nobody imported this')",
    "pkg/words.txt": "words",
    "data/more.txt": "more",
    "late.py": "VALUE = 2",
}

EXPECTED = {
    "dataclass_fields": ["x", "others"],
    "hints": [True, True, True],
    "dispatch": 1,
    "copies": True,
    "source": ("class X:", "helpers", "@dataclass"),
    "resources": ("words", b"words", b"words", "more"),
    "modules_of_package": ["lazy", "sub"],
    "specs": [True, True, True, False],
    "plugins": (1, 2, ["sub"]),
    "loggers": "helpers",
}


@pytest.mark.parametrize("question", [*EXPECTED])
@pytest.mark.parametrize("where", ["here", "thread of the model", "other thread"])
def test_the_standard_library_finds_this_versions_modules(world: World, question: str, where: str) -> None:
    """A library function that works in the author's session fails, or answers for another model, in the server."""
    world.load({"etls.py": "import helpers, late", "helpers.py": "X = 0", "late.py": ""}, name="Other")
    etls = world.load(FILES)
    call = vars(etls)[question]
    assert answers(etls, call, where) == EXPECTED[question]


STARTER = """
def start(call, results):
    import threading
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
"""


def answers(etls: ModuleType, call: Callable[[], object], where: str) -> object:
    """Return what *call* returns, called on a thread of the model, of nobody, or here."""
    if where == "here":
        return call()
    results: list[object] = []
    scope = vars(etls) if where == "thread of the model" else {}
    exec(STARTER, scope)
    scope["start"](call, results)
    return results[0]


def test_pickle_keeps_the_identity_of_classes(world: World) -> None:
    """What a model pickles in C or in Python comes back as an object of another class, or names a private module."""
    etls = world.load(FILES)
    assert etls.pickles() == {"helpers", "etls", "builtins", "function"} - {"function"}


def test_pydantic_resolves_names_of_the_module(world: World) -> None:
    """A pydantic model under `from __future__ import annotations` is "not fully defined"."""
    etls = world.load(
        {
            "etls.py": """
                from __future__ import annotations
                from pydantic import BaseModel, TypeAdapter
                import dataclasses
                import schema

                class Row(BaseModel):
                    amounts: list[Amount]
                    place: schema.Place | None = None

                class Amount(BaseModel):
                    value: float

                @dataclasses.dataclass
                class Plain:
                    amount: Amount
                    nested: list[Plain] = dataclasses.field(default_factory=list)

                def call():
                    plain = TypeAdapter(Plain).validate_python({"amount": {"value": "3"}})
                    row = Row.model_validate({"amounts": [{"value": "2"}], "place": {"name": "x"}})
                    return row.amounts[0].value, row.place.name, plain.amount.value
                """,
            "schema.py": """
                from __future__ import annotations
                from pydantic import BaseModel
                class Place(BaseModel):
                    name: Name
                Name = str
                """,
        }
    )
    assert etls.call() == (2.0, "x", 3.0)


def test_the_server_at_work_for_a_model_finds_its_modules(world: World) -> None:
    """The server's own validation of a model's types resolves names in another model's module."""
    from pydantic import TypeAdapter

    text = "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass Row:\n    x: Kind\n"
    world.load({"etls.py": text + "class Kind(str): pass"}, name="Other")
    namespace = world.open({"etls.py": text + "Kind = int"})
    etls = namespace.load()
    with namespace.running():
        assert TypeAdapter(etls.Row).validate_python({"x": "3"}).x == 3


def test_joblib_and_cloudpickle_round_trips(world: World) -> None:
    """A model that caches with joblib or ships closures with cloudpickle cannot read them back."""
    pytest.importorskip("cloudpickle")
    etls = world.load(
        {
            "etls.py": """
                import io, joblib, cloudpickle, pickle
                from helpers import X
                def call():
                    file = io.BytesIO()
                    joblib.dump({"x": X()}, file)
                    file.seek(0)
                    def closure():
                        import helpers, late
                        return helpers.X, late.VALUE
                    again = pickle.loads(cloudpickle.dumps(closure))()
                    threads = joblib.Parallel(n_jobs=2, backend="threading")(
                        joblib.delayed(pickle.loads)(pickle.dumps(X())) for _ in range(4))
                    return [type(joblib.load(file)["x"]) is X, again == (X, 2), {type(x) for x in threads} == {X}]
                """,
            "helpers.py": "class X: pass",
            "late.py": "VALUE = 2",
        }
    )
    assert etls.call() == [True, True, True]


def test_a_pickle_is_read_in_threads_of_a_pool(world: World) -> None:
    """`pool.map(pickle.loads, blobs)` has no frame of the model on its stack, and finds another version's class."""
    files = {
        "etls.py": """
            import pickle, helpers
            from concurrent.futures import ThreadPoolExecutor
            from multiprocessing.pool import ThreadPool
            blobs = [pickle.dumps(helpers.X()) for _ in range(8)]
            with ThreadPoolExecutor(4) as pool:
                at_import = {type(x) for x in pool.map(pickle.loads, blobs)} == {helpers.X}
            lasting = ThreadPoolExecutor(2)
            def call():
                with ThreadPool(2) as threads, ThreadPoolExecutor(2) as pool:
                    kinds = {type(x) for x in threads.map(pickle.loads, blobs)}
                    kinds |= {type(x) for x in pool.map(pickle._loads, blobs)}
                    kinds |= {type(x) for x in lasting.map(pickle.loads, blobs)}
                return kinds == {helpers.X} and at_import
            """,
        "helpers.py": "class X: pass",
    }
    old, new = world.load(files, version="1"), world.load(files, version="2")
    assert [old.call(), new.call(), old.call()] == [True, True, True]
    old.lasting.shutdown()
    new.lasting.shutdown()


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


def test_a_module_may_look_at_itself_in_sys_modules(world: World) -> None:
    """`getattr(sys.modules[__name__], name)`, the usual way to list a module's own classes, finds nothing."""
    etls = world.load(
        {
            "etls.py": "import shapes\nNAMES = shapes.names()",
            "shapes.py": """
                import inspect, sys
                class A: pass
                class B: pass
                this = sys.modules[__name__]
                this.late = 1
                def names():
                    members = [name for name, _ in inspect.getmembers(sys.modules[__name__], inspect.isclass)]
                    return members, this.A is A, late, vars(this)["B"] is B, "names" in dir(this)
                """,
        }
    )
    assert etls.NAMES == (["A", "B"], True, 1, True, True)


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


def test_logging_is_configured_with_classes_of_the_model(world: World) -> None:
    """`dictConfig` with `"class": "helpers.Handler"` cannot find it."""
    etls = world.load(
        {
            "etls.py": """
                import logging.config
                logging.config.dictConfig({
                    "version": 1, "incremental": False, "disable_existing_loggers": False,
                    "handlers": {"own": {"class": "helpers.Handler"}},
                    "loggers": {"model.of.a.test": {"handlers": ["own"]}},
                })
                handler = logging.getLogger("model.of.a.test").handlers.pop()
                """,
            "helpers.py": "import logging\nclass Handler(logging.NullHandler): pass",
        }
    )
    assert type(etls.handler).__module__ == "helpers"


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


def test_a_model_may_reload_its_own_module(world: World) -> None:
    """`importlib.reload(helpers)`, left over from a notebook, stops the load."""
    files = {
        "etls.py": "import importlib, json, helpers\nimportlib.reload(helpers)",
        "helpers.py": "import etls\nX = 1",
    }
    assert world.load(files).helpers.X == 1
