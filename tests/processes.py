"""Run the real server, or the script that starts it, as a process of its own, and watch it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import requests

Found = TypeVar("Found")
REPOSITORY = Path(__file__).resolve().parent.parent


def wait_until(
    probe: Callable[[], Found | None], what: str, within: float, about: Callable[[], str] = str
) -> Found:
    """Return what *probe* finds, or fail with a sentence, the last value seen and what *about* tells."""
    deadline = time.monotonic() + within
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within} s for {what}; last saw {found!r}\n{about()}")
        time.sleep(0.05)


class Process:
    """A command in a session of its own; its output goes to a file.

    Args:
        command: The command and its arguments.
        environ: Its whole environment.
        folder: Where it is started.
        log: The file that takes its output.
        user: The user id to run as; None: the one who tests.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        environ: Mapping[str, str],
        folder: Path,
        log: Path,
        user: int | None = None,
    ) -> None:
        self.log = log
        identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(environ),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is its session's too."""
        return self._process.pid

    def output(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def has_ended(self) -> bool:
        """Tell whether the process is over."""
        return self._process.poll() is not None

    def wait_for(self, probe: Callable[[], Found | None], what: str, within: float) -> Found:
        """Wait like `wait_until`, but not for a process that is over."""

        def look() -> Found | None:
            found = probe()
            assert found or not self.has_ended(), (
                f"ended with {self._process.returncode} before {what}\n{self.output()}"
            )
            return found

        return wait_until(look, what, within, about=lambda: self.output()[-4000:])

    def end(self, how: signal.Signals = signal.SIGTERM, within: float = 30) -> int:
        """Send the signal, wait for the end and return the exit code."""
        if not self.has_ended():
            self._process.send_signal(how)
        return self.exit_code(within)

    def exit_code(self, within: float) -> int:
        """Wait until the process ends by itself."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGUSR1)  # the server then tells what its threads are doing
            time.sleep(1)
            raise AssertionError(f"still runs after {within} s\n{self.output()[-4000:]}") from None

    def leftovers(self) -> list[int]:
        """Return the ids of processes of its session that are still there."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _parent, _group, session = stat.read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue  # it ended while we looked
            if int(session) == self._process.pid and state != "Z":
                found.append(int(stat.parent.name))
        return found

    def kill(self) -> None:
        """End whatever is left of it; for the end of a test, whatever happened before."""
        if not self.has_ended():
            self._process.kill()
            self._process.wait()
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):  # it ended while we looked
                os.kill(pid, signal.SIGKILL)


class Server(Process):
    """`server.py` of this repository on a free port of this machine.

    Args:
        python: The interpreter.
        log: The file that takes its output.
        prefix: A command that starts it, with its arguments.
        settings: Environment variables.
    """

    def __init__(self, python: str, log: Path, prefix: Sequence[str] = (), **settings: str) -> None:
        environ = dict(os.environ) | {"HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json"} | settings
        super().__init__(
            [*prefix, python, REPOSITORY / "server.py"], environ=environ, folder=REPOSITORY, log=log
        )
        self.url = self.wait_for(self._listening, "the log line `listening`", within=20)

    def _listening(self) -> str | None:
        for line in self.output().splitlines():
            if '"listening"' in line:
                return f"http://127.0.0.1:{json.loads(line)['port']}"
        return None

    def wait_until_ready(self, within: float = 60) -> None:
        """Wait until every model has been tried and one serves."""
        self.wait_for(lambda: requests.get(f"{self.url}/readyz", timeout=5).ok, "/readyz to say 200", within)
