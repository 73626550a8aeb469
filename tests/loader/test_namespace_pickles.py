"""What an author's own Python session wrote beside etls.py is read by the model, and the other way round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loader.imports import Imports
    from tests.loader.conftest import World

#: What the author has beside etls.py, and how it was dumped: C and Python pickles, old and new protocols, joblib.
HELPERS = {
    "helpers.py": """
        from collections import namedtuple
        class Scaler:
            def __init__(self, rate):
                self.rate = rate
            def __call__(self, value):
                return value * self.rate
        Pair = namedtuple("Pair", "left right")
        def double(value):
            return 2 * value
        """,
    "pkg/__init__.py": "",
    "pkg/parts.py": "class Part:\n    size = 3\n    class Inner:\n        deep = 4",
    "common_lib.py": "class Encoder:\n    def encode(self, text):\n        return text.upper()",
}
DUMP = """
    import joblib, pickle
    import numpy as np
    import helpers, common_lib
    from pkg.parts import Part
    things = {
        "scaler": helpers.Scaler(np.float64(1.5)),
        "pair": helpers.Pair(1, 2),
        "double": helpers.double,
        "part": Part(), "inner": Part.Inner(),
        "encoder": common_lib.Encoder(),
    }
    for protocol in range(6):
        with open(f"c{protocol}.pkl", "wb") as file:
            pickle.dump(things, file, protocol)
    with open("py.pkl", "wb") as file:
        pickle._dump(things, file)
    joblib.dump(things, "plain.joblib")
    joblib.dump(things, "packed.joblib", compress=3)
    """
#: Reads every file, in every way, and uses what it got. `where` says when it is called.
READ = """
    import io, pickle, joblib
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    def use(things):
        from helpers import Scaler
        assert type(things["scaler"]) is Scaler
        return (things["scaler"](2), things["pair"].right, things["double"](4), things["part"].size,
                things["inner"].deep, things["encoder"].encode("x"))

    def read():
        files = sorted(Path(__file__).parent.glob("*.pkl"))
        blobs = [file.read_bytes() for file in files]
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(pickle.loads, blobs)
            yield from pool.map(pickle._loads, blobs)
        for file, blob in zip(files, blobs):
            yield pickle.loads(blob)
            yield pickle._loads(blob)
            yield pickle.Unpickler(io.BytesIO(blob)).load()
            with file.open("rb") as stream:
                yield pickle.load(stream)
        for file in Path(__file__).parent.glob("*.joblib"):
            yield joblib.load(file)
    def all_results():
        return {use(things) for things in read()}
    """
WANTED = {(3.0, 2, 8, 3, 4, "X")}


@pytest.mark.parametrize("where", ["import", "construction", "request"])
def test_files_of_the_authors_session_are_read(
    imports: Imports, author: Callable[..., Path], where: str
) -> None:
    """A model that worked on its author's machine fails to load, or at its first request."""
    etls = {
        "import": f"{READ}\n    found = all_results()",
        "construction": f"{READ}\n    class M:\n        def __init__(self):\n            self.found = all_results()",
        "request": READ,
    }[where]
    folder = author({**HELPERS, "etls.py": etls, "dump.py": DUMP}, "dump.py")
    for _ in range(2):  # the second version is alive beside the first
        namespace = imports.open("Churn", folder, None)
        module = namespace.load()
        found = module.found if where == "import" else getattr(module, "M", module.all_results)()
        assert getattr(found, "found", found) == WANTED
        assert namespace.modules["helpers"].__builtins__ is namespace.builtins


def test_a_class_of_etls_itself_is_read(imports: Imports, author: Callable[..., Path]) -> None:
    """`python train.py`, which imports the class from etls.py, writes a file that etls.py cannot read."""
    etls = """
        import pickle
        from pathlib import Path
        class Scaler:
            rate = 3
        class M:
            def transform_predict(self):
                things = pickle.loads((Path(__file__).parent / "m.pkl").read_bytes())
                return type(things) is Scaler
        """
    train = "import pickle\nfrom etls import Scaler\npickle.dump(Scaler(), open('m.pkl', 'wb'))"
    folder = author({"etls.py": etls, "train.py": train}, "train.py")
    assert imports.open("Churn", folder, None).load().M().transform_predict() is True


NOTEBOOK = """
    import pickle
    class Scaler:
        def __init__(self):
            self.rate = 3
    if __name__ == "__main__":
        with open("m.pkl", "wb") as file:
            pickle.dump({"scaler": Scaler()}, file)
    """
FROM_NOTEBOOK = """
    import pickle
    from pathlib import Path
    {definition}
    def read():
        blob = (Path(__file__).parent / "m.pkl").read_bytes()
        return pickle.loads(blob)["scaler"], pickle._loads(blob)["scaler"]
    """


@pytest.mark.parametrize(
    "definition",
    ["from notebook import Scaler", "class Scaler:\n        kind = 'own'"],
    ids=["imported", "defined"],
)
def test_a_file_of_a_script_or_notebook_finds_its_classes_in_etls(
    imports: Imports, author: Callable[..., Path], definition: str
) -> None:
    """A pickle that says `__main__.Scaler` fails: the server's `__main__` has no such class."""
    files = {"notebook.py": NOTEBOOK, "etls.py": FROM_NOTEBOOK.format(definition=definition)}
    etls = imports.open("Churn", author(files, "notebook.py"), None).load()
    found = etls.read()
    assert [(type(scaler) is etls.Scaler, scaler.rate) for scaler in found] == [(True, 3)] * 2


def test_a_class_of_a_notebook_that_etls_lacks_is_explained(
    imports: Imports, author: Callable[..., Path]
) -> None:
    """The error names the server's `__main__`, which means nothing to an author."""
    files = {"notebook.py": NOTEBOOK, "etls.py": FROM_NOTEBOOK.format(definition="")}
    etls = imports.open("Churn", author(files, "notebook.py"), None).load()
    with pytest.raises(
        AttributeError, match=r"'Scaler' on .* etls\.py of model Churn: define or import there"
    ):
        etls.read()


def test_a_file_that_a_version_writes_is_read_by_the_next(world: World) -> None:
    """A model's cache is unreadable after the next push."""
    files = {
        "etls.py": """
            import pickle, joblib, helpers
            class Own: pass
            def write(file):
                joblib.dump([helpers.X(), Own()], file)
                return pickle.dumps([helpers.X(), Own()])
            def read(file, blob):
                found = joblib.load(file) + pickle.loads(blob)
                return [type(thing) in (helpers.X, Own) for thing in found]
            """,
        "helpers.py": "class X: pass",
    }
    old = world.load(files, version="1")
    blob = old.write(world.root / "cache.joblib")
    new = world.load(files, version="2")
    old.__builtins__["__model_namespace__"].close()
    assert new.read(world.root / "cache.joblib", blob) == [True] * 4


def test_a_file_that_names_the_whole_path_is_read(world: World, author: Callable[..., Path]) -> None:
    """A pickle written from the repository's root says `models_serve.Churn.helpers.X`."""
    etls = world.load(
        {
            "etls.py": """
                import pickle
                from helpers import X
                blob = b"cmodels_serve.Churn.helpers\\nX\\n)R."
                class Own: pass
                def call():
                    return [type(load(blob)) is X for load in (pickle.loads, pickle._loads)] + [
                        pickle.loads(b"cmodels_serve.Churn.etls\\nOwn\\n.") is Own,
                        pickle.loads(b"cmodels_serve.Churn.pkg.mod\\nIN\\n.") == 5,
                        pickle._loads(b"cmodels_serve.features\\nSHARED\\n.") == 6]
                """,
            "helpers.py": "class X: pass",
            "pkg/mod.py": "IN = 5",
        },
        shared={"features.py": "SHARED = 6"},
    )
    assert etls.call() == [True] * 5
