"""The script around git-sync, run by a real bash around a stand-in that records its signals."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chart.rendering import CHART

SCRIPT = (CHART / "files" / "git-sync.sh").read_text()
#: Says its arguments and its id, then a line for every HUP.
STAND_IN = """#!/usr/bin/env bash
trap 'echo hup >> "$LOG"' HUP
printf '%s\\n' "started $$ $*" >> "$LOG"
while :; do sleep 0.05; done
"""


def wait_until(probe: Callable[[], object], what: str, within: float = 20) -> None:
    """Poll until *probe* is true."""
    deadline = time.monotonic() + within
    while not probe():
        assert time.monotonic() < deadline, f"waited {within} s for {what}"
        time.sleep(0.02)


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

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the script until the block ends; its background loop ends with it."""
        environment = {
            "PATH": os.environ["PATH"],
            "SYNC_ROOT": str(self.root),
            "SYNC_ERROR_FILE": str(self.error_file),
            "SYNC_RETRY_SECONDS": "0.2",
            "SYNC_COMMAND": str(self.command),
            "LOG": str(self.log),
        }
        command = ["bash", "-c", SCRIPT, "git-sync", "--repo=x", "--ref=a b"]
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            wait_until(self.lines, "git-sync to be started")
            yield process
        finally:
            process.terminate()
            process.wait(timeout=10)
            wait_until(lambda: not _group_lives(process.pid), "the retry loop to end with git-sync")


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def sync(tmp_path: Path) -> Sync:
    """A root that nothing runs over yet."""
    return Sync(tmp_path)


LOCKS = (".git/shallow.lock", ".git/index.lock", ".git/worktrees/4f1c/index.lock", ".git/config.lock")


def test_git_sync_gets_its_arguments_and_the_process_id(sync: Sync) -> None:
    """`kill -HUP 1` and the kubelet's SIGTERM must reach git-sync itself."""
    with sync.running() as process:
        assert sync.lines() == [f"started {process.pid} --repo=x --ref=a b"]


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
        wait_until(lambda: sync.lines().count("hup") >= 2, "two retries")


def test_nothing_is_retried_without_a_failure(sync: Sync) -> None:
    """A sync that works is not asked for again before its period."""
    with sync.running():
        sync.error_file.write_text("{}")
        wait_until(lambda: "hup" in sync.lines(), "a retry")
        sync.error_file.unlink()
        # One more may have been on its way; after that several rounds of the loop pass in silence.
        rounds = sync.leave(".git/objects/pack/tmp_pack_b2")
        before = len(sync.lines())
        deadline = time.monotonic() + 1.2
        while time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(sync.lines()) <= before + 1
        assert rounds[0].exists()


def test_a_retry_removes_what_is_older_than_the_failure(sync: Sync) -> None:
    """An expired sync leaves its lock and half a pack, in a process that goes on."""
    with sync.running():
        old = sync.leave(*LOCKS, ".git/objects/pack/tmp_pack_a1", age_seconds=5)
        sync.error_file.write_text("{}")
        wait_until(lambda: not any(file.exists() for file in old), "the leftovers to go")


def test_a_retry_leaves_a_running_git_alone(sync: Sync) -> None:
    """A git that runs now holds locks that are younger than the last failure."""
    with sync.running():
        sync.error_file.write_text("{}")
        os.utime(sync.error_file, (time.time() - 5,) * 2)
        held = sync.leave(".git/shallow.lock", ".git/objects/pack/tmp_pack_a1")
        wait_until(lambda: sync.lines().count("hup") >= 2, "two retries")
        assert all(file.exists() for file in held)


def test_sigterm_ends_it_at_once(sync: Sync) -> None:
    """A sidecar that lingers keeps the pod until its grace period is over."""
    with sync.running() as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == -signal.SIGTERM
