"""The script around git-sync, run by a real bash around a stand-in that records its signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chart.rendering import CHART
from tests.processes import Process, wait_until

SCRIPT = (CHART / "files" / "git-sync.sh").read_text()
#: Says its arguments and its id, then a line for every HUP.
STAND_IN = """#!/usr/bin/env bash
trap 'echo hup >> "$LOG"' HUP
printf '%s\\n' "started $$ $*" >> "$LOG"
while :; do /bin/sleep 0.05; done
"""
#: Counts the rounds of the loop.
SLEEP = """#!/usr/bin/env bash
printf . >> "$ROUNDS"
exec /bin/sleep "$@"
"""


class Sync:
    """A root with a .git folder, and the script running over it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "git"
        self.error_file = folder / "tmp" / "sync-error.json"
        self.log = folder / "log"
        self.command = folder / "git-sync"
        for path in (".git/worktrees/4f1c", ".git/objects/pack"):
            (self.root / path).mkdir(parents=True)
        self.error_file.parent.mkdir()
        self.command.write_text(STAND_IN)
        self.command.chmod(0o755)
        self.rounds = folder / "rounds"
        (folder / "sleep").write_text(SLEEP)
        (folder / "sleep").chmod(0o755)

    def leave(self, *names: str, age_seconds: float = 0) -> list[Path]:
        """Make files under the root as an earlier git would have left them."""
        files = [self.root / name for name in names]
        for file in files:
            file.write_text("")
            os.utime(file, (time.time() - age_seconds,) * 2)
        return files

    def lines(self) -> list[str]:
        """Return what the stand-in has said."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def wait_for_rounds(self, count: int) -> None:
        """Wait until the loop has slept that often again."""
        target = len(self.rounds.read_text()) + count + 1
        wait_until(lambda: len(self.rounds.read_text()) >= target, f"{count} rounds of the loop", within=20)

    @contextmanager
    def running(self) -> Iterator[Process]:
        """Run the script until the block ends; its background loop ends with it."""
        environ = {
            "PATH": f"{self.root.parent}:{os.environ['PATH']}",
            "ROUNDS": str(self.rounds),
            "SYNC_ROOT": str(self.root),
            "SYNC_ERROR_FILE": str(self.error_file),
            "SYNC_RETRY_SECONDS": "0.2",
            "SYNC_COMMAND": str(self.command),
            "LOG": str(self.log),
        }
        # Whoever runs the tests under nohup ignores HUP, and a shell cannot trap what was ignored.
        command = ["env", "--default-signal=HUP", "bash", "-c", SCRIPT, "git-sync", "--repo=x", "--ref=a b"]
        process = Process(command, environ=environ, folder=self.root, log=self.root.parent / "output")
        try:
            process.wait_for(self.lines, "git-sync to be started", within=20)
            yield process
            process.end()
            wait_until(lambda: not process.leftovers(), "the retry loop to end with git-sync", within=20)
        finally:
            process.kill()


@pytest.fixture
def sync(tmp_path: Path) -> Sync:
    """A root that nothing runs over yet."""
    return Sync(tmp_path)


LOCKS = (".git/shallow.lock", ".git/index.lock", ".git/worktrees/4f1c/index.lock", ".git/config.lock")


def test_git_sync_gets_its_arguments_and_the_process_id(sync: Sync) -> None:
    """`kill -HUP 1` and the kubelet's SIGTERM must reach git-sync itself, and end the pod at once."""
    with sync.running() as process:
        (line,) = sync.lines()
        started, pid, *arguments = line.split()
        assert (started, arguments) == ("started", ["--repo=x", "--ref=a", "b"])
        os.kill(int(pid), signal.SIGTERM)
        assert process.exit_code(within=5) == -signal.SIGTERM


def test_what_a_killed_git_left_is_gone_before_git_sync_starts(sync: Sync) -> None:
    """A shallow.lock makes git-sync wipe the checkout, an index.lock or a tmp-link fails every sync."""
    left = sync.leave(*LOCKS, ".git/objects/pack/tmp_pack_a1", "tmp-link")
    kept = sync.leave(".git/config", ".git/objects/pack/pack-1.pack")
    sync.error_file.write_text("{}")
    with sync.running():
        assert [file for file in [*left, sync.error_file] if file.exists()] == []
        assert all(file.exists() for file in kept)


def test_a_link_that_dangles_is_removed_too(sync: Sync) -> None:
    """A publish that was cut off leaves a link to a worktree that is not there."""
    (sync.root / "tmp-link").symlink_to(".worktrees/gone")
    with sync.running():
        assert not (sync.root / "tmp-link").is_symlink()


def test_a_failure_is_retried_until_it_is_over(sync: Sync) -> None:
    """A repository that was away for a minute must not cost a day."""
    with sync.running():
        sync.error_file.write_text("{}")
        wait_until(lambda: sync.lines().count("hup") >= 2, "two retries", within=20)


def test_nothing_is_retried_without_a_failure(sync: Sync) -> None:
    """A sync that works is not asked for again before its period."""
    with sync.running():
        sync.error_file.write_text("{}")
        wait_until(lambda: "hup" in sync.lines(), "a retry", within=20)
        sync.error_file.unlink()
        sync.wait_for_rounds(1)  # the one that had seen the file
        before = sync.lines()
        sync.wait_for_rounds(3)
        assert sync.lines() == before


def test_a_retry_removes_what_is_older_than_the_failure(sync: Sync) -> None:
    """An expired sync leaves its lock and half a pack, in a process that goes on."""
    with sync.running():
        old = sync.leave(*LOCKS, ".git/objects/pack/tmp_pack_a1", age_seconds=5)
        sync.error_file.write_text("{}")
        wait_until(lambda: not any(file.exists() for file in old), "the leftovers to go", within=20)


def test_a_retry_leaves_a_running_git_alone(sync: Sync) -> None:
    """A git that runs now holds locks that are younger than the last failure."""
    with sync.running():
        sync.error_file.write_text("{}")
        os.utime(sync.error_file, (time.time() - 5,) * 2)
        held = sync.leave(".git/shallow.lock", ".git/objects/pack/tmp_pack_a1")
        wait_until(lambda: sync.lines().count("hup") >= 2, "two retries", within=20)
        assert all(file.exists() for file in held)
