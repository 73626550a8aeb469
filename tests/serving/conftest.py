"""A real server as a process over a models root of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes import Server, wait_until
from tests.publishing import Publisher, write_tree

CONSTANT = """
class Model:
    def transform_predict(self) -> dict:
        return {{"answer": {answer!r}}}
"""


def constant(answer: object) -> str:
    """Return an etls.py whose model always answers *answer*."""
    return CONSTANT.format(answer=answer)


class Service:
    """A running server and how to talk to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"{server.url}/models_serve"

    def post(self, model: str, variables: Any = None, **options: Any) -> requests.Response:
        """Post one row."""
        return requests.post(
            f"{self.url}/{model}", json={"variables": variables or {}}, timeout=60, **options
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        """Get a path below the server's address."""
        return requests.get(f"{self.server.url}{path}", timeout=60, **options)

    def answer(self, model: str) -> Any:
        """Return what a constant model answers, or the status code when it does not answer."""
        response = self.post(model)
        return response.json()["answer"] if response.ok else response.status_code

    def status(self, model: str) -> dict[str, Any]:
        """Return the model's entry on the status page, or an empty one."""
        entries = self.get("/").json()["models"]
        return next((entry for entry in entries if entry["name"] == model), {})

    def wait_for_answer(self, model: str, answer: object, within: float = 10) -> None:
        """Wait until the model answers *answer*."""
        wait_until(
            lambda: self.answer(model) == answer or None,
            f"{model} to answer {answer!r}",
            within,
            about=lambda: f"it answers {self.answer(model)!r}\n{self.server.output()[-4000:]}",
        )

    def metric(self, line: str) -> float | None:
        """Return the value of the series *line*, labels and all, or None when it is not there."""
        for text in self.get("/metrics").text.splitlines():
            series, _, value = text.rpartition(" ")
            if series == line:
                return float(value)
        return None


Serve = Callable[..., Service]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers; each must end with exit code 0, but one that the test has ended itself."""
    started: list[Server] = []

    def start(models_dir: Path, *, wait: bool = True, prefix: Sequence[str] = (), **settings: str) -> Service:
        values = {"STATE_DIR": str(tmp_path / "state"), "DRAIN_DELAY_SECONDS": "0", **settings}
        log = tmp_path / f"server-{len(started)}.log"
        server = Server(sys.executable, log, prefix, MODELS_DIR=str(models_dir), **values)
        started.append(server)
        if wait:
            server.wait_until_ready()
        return Service(server)

    try:
        yield start
        for server in started:
            if not server.has_ended():
                assert server.end() == 0, server.output()
    finally:
        for server in started:
            server.kill()


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A repository and the git-sync root that publishes it."""
    return Publisher(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[Mapping[str, str | bytes]], Path]:
    """Make a plain models root of some files."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "models"
        root.mkdir()
        write_tree(root, files)
        return root

    return make
