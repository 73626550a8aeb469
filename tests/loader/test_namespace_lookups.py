"""Whoever looks a model's module up by its name, while the model runs, finds this version's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
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


def test_a_model_may_reload_its_own_module(world: World) -> None:
    """`importlib.reload(helpers)`, left over from a notebook, stops the load."""
    files = {
        "etls.py": "import importlib, json, helpers\nimportlib.reload(helpers)",
        "helpers.py": "import etls\nX = 1",
    }
    assert world.load(files).helpers.X == 1
