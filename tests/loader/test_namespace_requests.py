"""Imports at request time, in the model's own threads, and what they cost."""

from __future__ import annotations

import threading
import timeit
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.loader.conftest import World


def test_versions_alive_at_once_import_their_own_files_at_request_time(world: World) -> None:
    """During a swap, calls inside the old version run the new version's code."""
    etls = "def call():\n    import late\n    from pkg import sub\n    return late.NAME, sub.NAME"

    def version(name: str) -> dict[str, str]:
        return {"etls.py": etls, "late.py": f"NAME = {name!r}", "pkg/sub.py": f"NAME = {name!r}"}

    old = world.load(version("old"), version="1")
    new = world.load(version("new"), version="2")
    assert [old.call(), new.call(), old.call()] == [("old", "old"), ("new", "new"), ("old", "old")]


def test_imports_in_threads_of_the_model(world: World) -> None:
    """A thread that a model starts finds nothing, or another model's file."""
    etls = world.load(
        {
            "etls.py": """
                import threading
                found = []
                def work():
                    import helpers
                    found.append(helpers.NAME)
                def call():
                    thread = threading.Thread(target=work)
                    thread.start()
                    thread.join()
                    return found
                """,
            "helpers.py": "NAME = 'own'",
        }
    )
    assert etls.call() == ["own"]


def test_a_hundred_threads_run_a_module_once(world: World) -> None:
    """Concurrent first calls run a sibling's top-level code several times."""
    etls = world.load(
        {
            "etls.py": "runs = []\ndef call():\n    from late import VALUE\n    return VALUE",
            "late.py": "import etls, time\netls.runs.append(1)\ntime.sleep(0.05)\nVALUE = 7",
        }
    )
    values: list[int] = []
    threads = [threading.Thread(target=lambda: values.append(etls.call())) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert (values, etls.runs) == ([7] * 100, [1])


def test_an_import_inside_a_call_costs_what_it_costs_anywhere(world: World) -> None:
    """Each request pays for looking its modules up on the disk again."""
    code = """
        def own():
            from helpers import VALUE
        def relative():
            from .pkg import sub
        def library():
            from json import dumps
        def nothing():
            pass
        """
    etls = world.load({"etls.py": code, "helpers.py": "VALUE = 1", "pkg/sub.py": ""})

    def microseconds(call: Callable[[], None]) -> float:
        return min(timeit.repeat(call, number=1000, repeat=20)) * 1000

    base = microseconds(etls.nothing)
    extra = {call.__name__: microseconds(call) - base for call in (etls.own, etls.relative, etls.library)}
    assert {name for name, cost in extra.items() if cost > 2} == set(), extra
