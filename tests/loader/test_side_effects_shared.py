"""What a model's code registers with objects that the process shares goes with its version."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter

if TYPE_CHECKING:
    from loader.namespace import Namespace
    from tests.loader.conftest import World


def names(registry: CollectorRegistry) -> set[str]:
    """Return the names of the families in *registry*."""
    return {family.name for family in registry.collect()}


class TestCollectors:
    CODE = """
        from prometheus_client import Counter, Histogram, REGISTRY
        SECONDS = Histogram("seconds_of_a_model", "how long")
        CALLS = Counter("calls_of_a_model", "how often")
        def call():
            CALLS.inc()
            return CALLS._value.get()
        """

    def test_collectors_belong_to_the_version(self, world: World) -> None:
        """A Counter at import makes the second load fail, or its series stays after the model is gone."""
        old, new = (
            world.open({"etls.py": self.CODE}, version="1"),
            world.open({"etls.py": self.CODE}, version="2"),
        )
        values = [old.load().call(), new.load().call()]
        assert values == [1.0, 1.0]
        assert [names(space.collectors) for space in (old, new)] == [
            {"calls_of_a_model", "seconds_of_a_model"}
        ] * 2
        assert names(REGISTRY).isdisjoint({"calls_of_a_model", "seconds_of_a_model"})

    def test_a_model_cannot_clear_the_servers_registry(self, world: World) -> None:
        """The usual cure for duplicates, unregistering everything, takes the server's own metrics away."""
        before = names(REGISTRY)
        code = """
        for collector in list(REGISTRY._collector_to_names):
            REGISTRY.unregister(collector)
        REGISTRY.unregister(CALLS)
        REGISTRY.unregister(SECONDS)
        """
        namespace = world.open({"etls.py": self.CODE + code})
        namespace.load()
        assert (names(REGISTRY), names(namespace.collectors)) == (before, set())

    def test_a_librarys_collector_is_the_processs(self, world: World) -> None:
        """A library that a model imports registers once, and its metrics would go with the first version."""
        library: dict[str, object] = {"__name__": "a_library"}
        exec(
            "from prometheus_client import Counter\ndef make():\n    return Counter('of_a_library', '')",
            library,
        )
        world.load({"etls.py": "def call(make):\n    return make()"}).call(library["make"])
        try:
            assert "of_a_library" in names(REGISTRY)
        finally:
            REGISTRY.unregister(REGISTRY._names_to_collectors["of_a_library"])

    def test_the_servers_own_collectors_are_registered_as_usual(self, world: World) -> None:
        """The server's families are missing from `/metrics`."""
        counter = Counter("of_the_server", "")
        assert "of_the_server" in names(REGISTRY)
        REGISTRY.unregister(counter)
        assert "of_the_server" not in names(REGISTRY)


class TestCalling:
    def test_names_the_version_whose_code_runs(self, world: World) -> None:
        """What a model prints is logged under another model's name."""
        code = """
            import threading
            def call(function):
                return function()
            def on_thread(function):
                thread = threading.Thread(target=function)
                thread.start()
                thread.join()
            """
        callback = {"etls.py": code}
        first, second = world.open(callback, name="A"), world.open(callback, name="B")
        etls = [first.load(), second.load()]
        seen: list[Namespace | None] = []

        def look() -> None:
            seen.append(world.imports.calling())

        look()
        etls[0].call(look)
        etls[1].call(lambda: etls[0].call(look))
        etls[1].on_thread(look)
        with first.running():
            look()
        look()
        assert seen == [None, first, first, second, first, None]

    def test_hooks_are_taken_out(self, world: World) -> None:
        """Tests that follow run with the hooks of this one."""
        import importlib

        world.imports.uninstall()
        hooked = (importlib.import_module, threading.Thread.start, REGISTRY.register, os.getcwd)
        assert [hasattr(function, "__wrapped__") for function in hooked] == [False] * 4


class TestLogging:
    def test_handlers_go_with_the_version(self, world: World) -> None:
        """Each reload of a model that sets up its own log file writes every line once more, into one more file."""
        code = """
            import logging
            from pathlib import Path
            log = logging.getLogger("a.model.of.a.test")
            log.addHandler(logging.FileHandler(Path(__file__).parent / "own.log"))
            """
        old, new = world.open({"etls.py": code}, version="1"), world.open({"etls.py": code}, version="2")
        logger = old.load().log
        handler = logger.handlers[0]
        new.load()
        old.close()
        assert (len(logger.handlers), handler in logger.handlers, handler.stream) == (1, False, None)
        new.close()
        assert logger.handlers == []
