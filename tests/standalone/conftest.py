"""Clones of this repository, as a newcomer has them, in which `standalone.sh` runs as another user where it can."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import REPOSITORY, Process

#: What a clone needs to serve; the rest only takes time to copy.
LEFT_OUT = ("tests/", "benchmarks/", "charts/", ".ci/")
#: Root tests as this user, who owns nothing on the machine; anyone else as themselves.
USER = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
#: A path that this user may read: root's own Python may lie in root's home.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" if USER else os.environ["PATH"]


class Standalone(Process):
    """One run of `standalone.sh`."""

    def curl(self, within: float = 60) -> str:
        """Wait for the curl command that ends what the script prints, and return it."""

        def last_line() -> str | None:
            lines = [line for line in self.output().splitlines() if line.startswith("curl ")]
            return lines[-1] if lines else None

        return self.wait_for(last_line, "standalone.sh to print a curl command", within)


@dataclass
class Clone:
    """A copy of the repository's files, owned by the user who runs its script.

    Attributes:
        path: Its folder, which has a space in its name.
        home: The user's empty home.
        processes: What was started in it.
    """

    path: Path
    home: Path
    processes: list[Process]

    def environ(self, **variables: str) -> dict[str, str]:
        """Return an environment with as little in it as a new login has, and what reaches the package index."""
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http"))
        }
        kept["PIP_CACHE_DIR"] = str(self.home / "pip-cache")
        return kept | {"PATH": PATH, "HOME": str(self.home), "LANG": "C.UTF-8"} | variables

    def start(
        self, *arguments: str, folder: Path | None = None, path: str = PATH, **variables: str
    ) -> Standalone:
        """Start the script from *folder*, which is the root folder unless told."""
        log = self.home.parent / f"standalone-{len(self.processes)}.log"
        process = Standalone(
            [self.path / "standalone.sh", *arguments],
            environ=self.environ() | local(variables) | {"PATH": path},
            folder=folder or Path("/"),
            log=log,
            user=USER,
        )
        self.processes.append(process)
        return process

    def give(self, path: Path) -> None:
        """Give a file or folder that the test made to the user who runs the script."""
        if USER is not None:
            subprocess.run(["chown", "-hR", f"{USER}:{USER}", path], check=True)


def local(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a test: any free port of this machine alone, and no delay at the end."""
    defaults = {"HOST": "127.0.0.1", "PORT": "0", "DRAIN_DELAY_SECONDS": "0"}
    return {name: value for name, value in (defaults | variables).items() if value != "unset"}


def new_clone(parent: Path) -> Clone:
    """Return a new clone of what is in the working tree."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    path = parent / "a newcomer's folder" / "model serving"
    for name in filter(None, listing.split("\0")):
        if not name.startswith(LEFT_OUT) and (REPOSITORY / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, path / name)
    home = parent / "home"
    home.mkdir()
    clone = Clone(path, home, [])
    clone.give(parent)
    return clone


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder that another user may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="standalone-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def clone_for_a_while(scratch: Path) -> Iterator[Clone]:
    """Make a clone in which nothing has run yet; take it and what runs in it away at the end."""
    parent = Path(tempfile.mkdtemp(dir=scratch))
    parent.chmod(0o755)
    one = new_clone(parent)
    try:
        yield one
    finally:
        for process in one.processes:
            process.kill()
        shutil.rmtree(parent)


@pytest.fixture(scope="session")
def first_run(scratch: Path) -> Iterator[tuple[Clone, Standalone]]:
    """A clone in which the script ran for the first time, and that run, which serves on."""
    with clone_for_a_while(scratch) as one:
        run = one.start()
        run.curl(within=300)
        yield one, run
        assert run.end() == 0, run.output()


@pytest.fixture
def bare_clone(scratch: Path) -> Iterator[Clone]:
    """A clone in which nothing has run yet."""
    with clone_for_a_while(scratch) as one:
        yield one


@pytest.fixture
def clone(bare_clone: Clone, first_run: tuple[Clone, Standalone]) -> Clone:
    """A clone after a first run: the environment that one made is linked into it, which takes a second."""
    # Hard links: the environment has ten thousand files.
    subprocess.run(["cp", "-al", first_run[0].path / ".venv", bare_clone.path / ".venv"], check=True)
    return bare_clone


@pytest.fixture
def path_of_few(scratch: Path) -> Iterator[Callable[..., str]]:
    """Make a PATH that has the common commands and the scripts given, but no other Python."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    folder.chmod(0o755)

    def make(**scripts: str) -> str:
        for command in (
            "bash",
            "env",
            "dirname",
            "readlink",
            "sed",
            "grep",
            "cmp",
            "cp",
            "mv",
            "rm",
            "mktemp",
        ):
            (folder / command).symlink_to(shutil.which(command, path=PATH) or "/bin/false")
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        return str(folder)

    yield make
    shutil.rmtree(folder)
