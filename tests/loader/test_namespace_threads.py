"""No import waits for ever, and none holds another model up."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.loader.conftest import World


def test_a_hanging_import_holds_no_other_model_up(world: World) -> None:
    """One model whose `helpers.py` waits for a database stops every other model's imports of that name."""
    etls = """
        import importlib, pickle
        def call():
            import pkg.sub
            return importlib.import_module("pkg.sub").VALUE, pickle.loads(b"cpkg.other\\nVALUE\\n.")
        """
    files = {"etls.py": etls, "pkg/__init__.py": "", "pkg/other.py": "VALUE = 2"}
    hanging = "import builtins\nbuiltins.entered.set()\nbuiltins.gate.wait(30)\nVALUE = 0"
    hung = world.load({**files, "pkg/__init__.py": hanging, "pkg/sub.py": "VALUE = 0"}, name="Hung")
    free = world.load({**files, "pkg/sub.py": "VALUE = 1"}, name="Free")
    import builtins

    builtins.entered, builtins.gate = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    stuck = threading.Thread(target=hung.call)
    stuck.start()
    try:
        assert builtins.entered.wait(20), "the hanging import did not begin"  # type: ignore[attr-defined]
        done: list[object] = []
        other = threading.Thread(target=lambda: done.append(free.call()), daemon=True)
        other.start()
        other.join(timeout=20)
        assert done == [(1, 2)]
        assert not hasattr(sys.modules["pkg"], "VALUE")  # nor whoever walks through sys.modules
    finally:
        builtins.gate.set()  # type: ignore[attr-defined]
        stuck.join(timeout=20)
        del builtins.entered, builtins.gate  # type: ignore[attr-defined]


def test_a_library_that_imports_a_hanging_module_by_name_holds_no_lock(world: World) -> None:
    """`importlib` locks a module's name for the whole process; one model's hanging plug-in stops all of that name."""
    import builtins

    library: dict[str, Any] = {}
    exec("import importlib\ndef load(name):\n    return importlib.import_module(name)", library)
    etls = "def call(load):\n    return load('plugins.one').VALUE"
    hanging = "import builtins\nbuiltins.entered.set()\nbuiltins.gate.wait(30)\nVALUE = 0"
    hung = world.load({"etls.py": etls, "plugins/one.py": hanging}, name="Hung")
    free = world.load({"etls.py": etls, "plugins/one.py": "VALUE = 1"}, name="Free")
    builtins.entered, builtins.gate = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    stuck = threading.Thread(target=hung.call, args=[library["load"]])
    stuck.start()
    try:
        assert builtins.entered.wait(20), "the hanging import did not begin"  # type: ignore[attr-defined]
        done: list[object] = []
        other = threading.Thread(target=lambda: done.append(free.call(library["load"])), daemon=True)
        other.start()
        other.join(timeout=10)
        assert done == [1]
    finally:
        builtins.gate.set()  # type: ignore[attr-defined]
        stuck.join(timeout=20)
        del builtins.entered, builtins.gate  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "second", ["import b", "import importlib; importlib.import_module('b')", "import pkg.b"]
)
def test_threads_that_import_in_opposite_order_do_not_wait_for_ever(world: World, second: str) -> None:
    """Two first calls at once, of modules that import each other, hang the model."""
    etls = """
        import threading
        barrier = threading.Barrier(2, timeout=20)
        def meet():
            if barrier.n_waiting or not done:
                done.append(1)
                barrier.wait()
        done = []
        def left():
            import a
            return a.VALUE
        def right():
            from pkg import b
            return b.VALUE
        """
    etls = world.load(
        {
            "etls.py": etls,
            "a.py": f"import etls\netls.barrier.wait()\n{second}\nVALUE = 1",
            "b.py": "from pkg.b import *",
            "pkg/__init__.py": "",
            "pkg/b.py": "import etls\netls.barrier.wait()\nimport a\nVALUE = 2",
        }
    )
    values: list[int] = []
    threads = [
        threading.Thread(target=lambda f=call: values.append(f()), daemon=True)
        for call in (etls.left, etls.right)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(values) == [1, 2]


def test_a_pool_at_import_may_use_the_modules_own_classes(world: World) -> None:
    """A pool that etls.py or a sibling starts while it is imported waits for the import that waits for the pool."""
    code = """
        import pickle
        from concurrent.futures import ThreadPoolExecutor
        class X: pass
        def work(blob):
            import etls, helpers
            from helpers import Y
            return type(pickle.loads(blob))
        with ThreadPoolExecutor(2) as pool:
            found = set(pool.map(work if __name__ == "etls" else pickle.loads, [pickle.dumps(X)] * 4, timeout=20))
        """
    etls = world.load({"etls.py": f"{code}\n        import helpers", "helpers.py": f"{code}\n        Y = 1"})
    assert (etls.found, etls.helpers.found) == ({type}, {etls.helpers.X})
