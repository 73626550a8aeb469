"""One real server over the examples as they lie in the repository."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import REPOSITORY, Server

MODELS = REPOSITORY / "models_serve"


@pytest.fixture(scope="session")
def models_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address before each example's name."""
    folder: Path = tmp_path_factory.mktemp("examples")
    server = Server(
        sys.executable,
        folder / "server.log",
        MODELS_DIR=str(MODELS),
        STATE_DIR=str(folder / "state"),
        DRAIN_DELAY_SECONDS="0",
    )
    try:
        server.wait_until_ready()
        yield f"{server.url}/models_serve"
        assert server.end() == 0, server.output()
    finally:
        server.kill()
