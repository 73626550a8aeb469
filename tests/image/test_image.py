"""The image: built from the Dockerfile, run without a right that it does not need, ended by SIGTERM."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.image.buildah import Container, Store, missing_commands
from tests.processes import REPOSITORY

pytestmark = [
    pytest.mark.timeout(1200),  # the first build downloads the libraries and a small Debian
    pytest.mark.skipif(bool(missing_commands()), reason=f"apt-get install {' '.join(missing_commands())}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="run as root: buildah and runc mount file systems"),
]
IMAGE, BASE = "localhost/model-serving-framework", "localhost/python"
EXAMPLES = sorted(path.parent.name for path in (REPOSITORY / "models_serve").glob("*/example.json"))
Run = Callable[..., Container]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with the image in it."""
    store = Store(tmp_path_factory.mktemp("buildah"))
    store.make_base(BASE)
    certificates = "/etc/ssl/certs:/etc/ssl/certs:ro"  # of this machine, whose network may have its own
    store.buildah(
        "build", "-q", "--volume", certificates, "--build-arg", f"BASE_IMAGE={BASE}", "-t", IMAGE, "."
    )
    try:
        yield store
    finally:
        store.buildah("rm", "--all")
        store.buildah("rmi", "--all", "--force")


@pytest.fixture(scope="session")
def config(store: Store) -> dict[str, Any]:
    """The image's configuration."""
    return store.config(IMAGE)


@pytest.fixture(scope="session")
def root(store: Store) -> Path:
    """The image's files."""
    return store.unpack(IMAGE)


@pytest.fixture
def run(tmp_path: Path, root: Path, config: Mapping[str, Any]) -> Iterator[Run]:
    """Start the image read-only and as its own user, on a free port of this machine alone."""
    started: list[Container] = []

    def start(*arguments: str, **environ: str) -> Container:
        settings = {"HOST": "127.0.0.1", "PORT": "0", "DRAIN_DELAY_SECONDS": "0", **environ}
        started.append(Container(tmp_path, root, config, settings, arguments))
        return started[-1]

    yield start
    for container in started:
        container.kill()


def address(container: Container) -> str | None:
    """Return where it listens, when it does."""
    for line in container.output().splitlines():
        if '"listening"' in line:
            return f"http://127.0.0.1:{json.loads(line)['port']}"
    return None


def test_it_serves_every_example_read_only_and_as_65533_and_ends_with_0(run: Run) -> None:
    """What a strict cluster starts must score a row, and be gone without an error when it is told to go."""
    container = run()
    url = container.wait_for(lambda: address(container), "the log line `listening`", within=60)
    container.wait_for(lambda: requests.get(f"{url}/readyz", timeout=5).ok, "/readyz to say 200", within=60)
    for name in EXAMPLES:
        row = json.loads((REPOSITORY / "models_serve" / name / "example.json").read_text())
        answer = requests.post(f"{url}/models_serve/{name}", json=row, timeout=30)
        assert (answer.status_code, type(answer.json())) == (200, dict), answer.text
    assert container.end() == 0, container.output()


def test_it_ends_with_0_when_told_so_while_it_starts(run: Run) -> None:
    """A rollout that is undone at once ends pods in their first second; an error there looks like a crash."""
    container = run()
    container.wait_for(lambda: address(container), "the log line `listening`", within=60)
    assert container.end() == 0, container.output()


def test_check_runs_in_the_image(run: Run) -> None:
    """A pipeline checks models with the libraries that will serve them: `docker run IMAGE check`."""
    container = run("check")
    assert container.exit_code(within=120) == 0, container.output()
    for name in EXAMPLES:
        assert name in container.output()


def test_configuration_of_the_image(config: Mapping[str, Any]) -> None:
    """Kubernetes checks a numeric user only; a shell as the first process would swallow SIGTERM."""
    assert config["User"] == "65533:65533"
    assert config["Entrypoint"] == ["python", "/app/server.py"]
    assert config["StopSignal"] == "SIGTERM"
    assert [port.removesuffix("/tcp") for port in config["ExposedPorts"]] == ["8080"]
    environ = dict(variable.split("=", 1) for variable in config["Env"])
    assert environ["PORT"] == "8080"
    assert environ["OMP_NUM_THREADS"] == "1"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_no_compiler_and_nothing_of_the_working_tree_is_in_it(root: Path) -> None:
    """A compiler helps who breaks in; a history, a test or a secret in a layer is there for ever."""
    assert not [name for name in ("gcc", "cc", "g++", "make") if (root / "usr/bin" / name).exists()]
    served = {path.name for path in (root / "app").iterdir() if path.name != "__pycache__"}
    programs = {"server.py", "settings.py", "logs.py", "check.py"}
    assert served == programs | {"loader", "web", "models_serve"}


def test_the_server_cannot_change_its_own_code(root: Path) -> None:
    """What breaks out of a model must not stay: the files belong to root, and nobody else may write them."""
    files = [root / "app", *(root / "app").rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o022) for path in files} == {(0, 0)}
