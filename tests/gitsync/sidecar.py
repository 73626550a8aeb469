"""The real git-sync, started as the rendered chart starts it, but for the paths."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.chart.rendering import containers, deployed_pod, render
from tests.gitsync.host import USERNAME
from tests.processes import Process

HTTPS = MappingProxyType({"https": {"username": USERNAME}})


def git_sync_binary() -> str | None:
    """Return where git-sync is: what GIT_SYNC names, or what is on the PATH."""
    return os.environ.get("GIT_SYNC") or shutil.which("git-sync")


class Sidecar:
    """git-sync with the chart's wrapper, flags and environment.

    Args:
        folder: Holds its home and, under `secret`, the files of its Secret.
        root: What it syncs into.
        repo: Values below `repo` of the chart.
        credentials: Values below `credentials`; a user name and password unless told.
        changes: Replacements in the flags, for a test that would otherwise wait for minutes.
    """

    def __init__(
        self,
        folder: Path,
        root: Path,
        repo: Mapping[str, str],
        credentials: Mapping[str, Any] = HTTPS,
        changes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder, self.root = folder, root
        self.link = root / "current"
        self.error_file = folder / "home" / "sync-error.json"
        (folder / "home").mkdir()
        self._changes = {
            "--root=/git": f"--root={root}",
            "--error-file=/tmp/sync-error.json": f"--error-file={self.error_file}",
            "--http-bind=:9091": "--http-bind=127.0.0.1:0",
            "=/etc/git-secret/": f"={folder / 'secret'}/",
            **changes,
        }
        values = {
            "repo": {"retryPeriod": "5s", **repo},
            "credentials": {"existingSecret": "any", **credentials},
        }
        self._container = containers(deployed_pod(render(values)))["git-sync"]
        self._runs: list[Process] = []

    @property
    def process(self) -> Process:
        """The newest run."""
        return self._runs[-1]

    def start(self) -> None:
        """Start it, as the kubelet does after every end."""
        self._runs.append(
            Process(
                [*self._container["command"], *self._arguments()],
                environ=self._environ(),
                folder=self.folder,
                log=self.folder / f"git-sync-{len(self._runs)}.log",
            )
        )

    def wait_for_link(self, revision: str, within: float = 30) -> None:
        """Wait until the link leads to a checkout of *revision*."""
        self.process.wait_for(
            lambda: self.link.exists() and self.link.readlink().name == revision,
            f"the link to lead to {revision}",
            within,
        )

    def wait_for_error(self, within: float = 30) -> str:
        """Wait until a sync has failed; return what the error file says."""
        self.process.wait_for(self.error_file.exists, "a sync to fail", within)
        return str(json.loads(self.error_file.read_text()))

    def wait_for_failures(self, number: int, within: float = 30) -> None:
        """Wait until this run's syncs have failed so often in a row."""
        self.process.wait_for(
            lambda: f'"failCount":{number}' in self.process.output(), f"sync number {number} to fail", within
        )

    def sync_now(self) -> None:
        """Do what the documented command does."""
        os.kill(self.process.pid, signal.SIGHUP)  # the wrapper's id is git-sync's

    def find(self, command: str) -> list[int]:
        """Return the ids of its processes whose command line contains *command*."""
        return [pid for pid in self.process.leftovers() if command in command_line(pid)]

    def kill_all(self) -> None:
        """Kill it and every git that it has started, all at once, as the kernel does when memory runs out."""
        self.process.kill()

    def close(self) -> None:
        """End every run."""
        for run in self._runs:
            run.kill()

    def _arguments(self) -> list[str]:
        text = "\n".join(self._container["args"])
        for old, new in self._changes.items():
            assert old in text, f"the chart does not pass {old} any more"
            text = text.replace(old, new)
        return text.split("\n")

    def _environ(self) -> dict[str, str]:
        rendered: dict[str, Any] = {e["name"]: e["value"] for e in self._container["env"]}
        return rendered | {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "SYNC_ROOT": str(self.root),
            "SYNC_ERROR_FILE": str(self.error_file),
            "SYNC_COMMAND": str(git_sync_binary()),
        }


def command_line(pid: int) -> str:
    """Return a process's command line, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def environment(pid: int) -> str:
    """Return a process's environment, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""
