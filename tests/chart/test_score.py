"""The script of `helm test`, run against a real server whose models are the repository's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.rendering import CHART
from tests.processes import Server
from tests.publishing import write_tree

ADDS = """
class Model:
    def transform_predict(self, a: int, b: int) -> dict:
        return {"sum": a + b}
"""
COUNTS = """
class Model:
    def transform_predict(self) -> dict:
        return {"rows": 3}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model that needs variables, one that needs none, and one that never loads."""
    folder = tmp_path_factory.mktemp("server")
    models = {
        "adds things/etls.py": ADDS,
        "counts/etls.py": COUNTS,
        "broken/etls.py": "import no_such_library\n",
    }
    write_tree(folder / "models", models)
    settings = {
        "MODELS_DIR": str(folder / "models"),
        "STATE_DIR": str(folder / "state"),
        "DRAIN_DELAY_SECONDS": "0",
    }
    running = Server(sys.executable, folder / "log", **settings)
    try:
        running.wait_until_ready()
        yield running
        assert running.end() == 0, running.output()
    finally:
        running.kill()


def score(server: Server, **environ: str) -> tuple[int, list[str]]:
    """Run the script; return its exit code and what it says of each model."""
    done = subprocess.run(
        [sys.executable, CHART / "files" / "score.py"],
        env={**os.environ, "BASE_URL": f"{server.url}/models_serve/", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("status page")]


def test_every_example_of_the_repository_is_scored(server: Server, tmp_path: Path) -> None:
    """`helm test` proves the whole way: repository, credentials, server, a real row."""
    write_tree(tmp_path, {"adds things/example.json": '{"variables": {"a": 1, "b": 2}}'})
    assert score(server, EXAMPLES=str(tmp_path)) == (
        0,
        ['scored adds things: 200 {"sum": 3}', 'scored counts: 200 {"rows": 3}'],
    )


def test_a_model_without_an_example_may_refuse_the_empty_row(server: Server, tmp_path: Path) -> None:
    """Nobody knows its variables; another model's row is proof enough."""
    code, lines = score(server, EXAMPLES=str(tmp_path))
    assert code == 0
    assert [line.split(":")[0] for line in lines] == ["REFUSED adds things", "scored counts"]


def test_an_example_that_fails_fails_the_test(server: Server, tmp_path: Path) -> None:
    """The author says that this row works."""
    write_tree(tmp_path, {"adds things/example.json": '{"variables": {"a": "one", "b": 2}}'})
    code, lines = score(server, EXAMPLES=str(tmp_path))
    assert code == 1
    assert lines[0].startswith("REFUSED adds things: 422")


def test_a_named_model_is_scored_with_its_row(server: Server) -> None:
    """test.model and test.variables need no example in the repository."""
    row = '{"variables": {"a": 20, "b": 22}}'
    assert score(server, MODEL="adds things", ROW=row) == (0, ['scored adds things: 200 {"sum": 42}'])
    assert score(server, MODEL="broken", ROW=row)[0] == 1
    assert score(server, MODEL="nobody", ROW=row)[0] == 1


def test_nothing_that_can_be_scored_is_a_failure(server: Server, tmp_path: Path) -> None:
    """A release that serves no row is not one that works."""
    code, lines = score(server, BASE_URL=f"{server.url}/no-such-path/", EXAMPLES=str(tmp_path))
    assert (code, lines[-1][:17]) == (1, "no row was scored")
