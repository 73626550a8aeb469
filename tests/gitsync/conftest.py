"""A git host, the real git-sync that follows it, and the real server that serves what arrives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.gitsync.host import PASSWORD, Author, GitHost
from tests.gitsync.sidecar import Sidecar, git_sync_binary
from tests.processes import Server, wait_until
from tests.publishing import write_tree

HERE = Path(__file__).resolve().parent
MODEL = """
class Constant:
    def transform_predict(self) -> dict:
        return {{"answer": {answer!r}}}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip where git-sync is not installed: no package registry has it."""
    if git_sync_binary() is not None:
        return
    reason = "needs git-sync 4 on the PATH, or GIT_SYNC=/path/to/git-sync (the binary of its image)"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


def model(answer: object) -> dict[str, str | bytes]:
    """Return the files of a repository with one model, which always answers *answer*."""
    return {"constant/etls.py": MODEL.format(answer=answer)}


@dataclass
class Stage:
    """All parts, running.

    Attributes:
        host: The git host.
        author: Who pushes to it.
        sidecar: git-sync.
        server: The model server; None until `serve`.
    """

    host: GitHost
    author: Author
    sidecar: Sidecar
    state: Path
    server: Server | None = None

    def serve(self) -> None:
        """Start the server over the checkout and wait until it is ready."""
        models_dir, log = str(self.sidecar.link), self.state.with_suffix(".log")
        settings = {"STATE_DIR": str(self.state), "DRAIN_DELAY_SECONDS": "0"}
        self.server = Server(sys.executable, log, MODELS_DIR=models_dir, **settings)
        self.server.wait_until_ready()

    def answer(self) -> Any:
        """Return what the model answers, or the status when it does not."""
        assert self.server is not None
        response = requests.post(f"{self.server.url}/models_serve/constant", json={}, timeout=30)
        return response.json()["answer"] if response.ok else response.status_code

    def wait_for_answer(self, answer: object, within: float = 30) -> None:
        """Wait until the model answers *answer*."""
        wait_until(
            lambda: self.answer() == answer,
            f"the model to answer {answer!r}",
            within,
            about=lambda: f"it answers {self.answer()!r}\n{self.sidecar.process.output()[-3000:]}",
        )

    def page(self) -> dict[str, Any]:
        """Return the status page."""
        assert self.server is not None
        found: dict[str, Any] = requests.get(f"{self.server.url}/", timeout=30).json()
        return found

    def close(self) -> None:
        """Stop everything, the server as Kubernetes would."""
        code = self.server.end() if self.server else 0
        self.sidecar.close()
        assert code == 0


Start = Callable[..., Stage]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Push a first commit, start git-sync, wait for the link and serve it."""
    with ExitStack() as stack:

        def start(*, root: Path | None = None, changes: dict[str, str] | None = None, **repo: str) -> Stage:
            host = GitHost(tmp_path)
            stack.callback(host.close)
            author = Author(tmp_path, host)
            revision = author.push(model("first"))
            folder = tmp_path / "sidecar"
            write_tree(folder / "secret", {"password": PASSWORD})
            where = root or folder / "git"
            sidecar = Sidecar(folder, where, {"url": host.url, **repo}, changes=changes or {})
            stage = Stage(host, author, sidecar, tmp_path / "state")
            stack.callback(stage.close)
            sidecar.start()
            sidecar.wait_for_link(revision)
            stage.serve()
            assert stage.answer() == "first"
            return stage

        yield start
