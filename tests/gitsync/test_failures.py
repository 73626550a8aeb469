"""What goes wrong between git-sync and the git host; what was served before is served on, and all of it heals."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitsync.conftest import Stage, Start, model
from tests.gitsync.host import PASSWORD
from tests.gitsync.sidecar import command_line, environment
from tests.processes import wait_until

#: A model's weights: large enough that half of them are a while on their way.
WEIGHTS = {"constant/weights.bin": os.urandom(3_000_000)}
#: The chart ends a transfer that stands still after a minute; a test shall not wait that long.
IMPATIENT = {"http.lowSpeedTime:60": "http.lowSpeedTime:2"}


def stall_a_fetch(stage: Stage) -> None:
    """Push a new version with weights, and stop git-sync's fetch of it halfway."""
    stage.host.behave("stall")
    stage.author.push({**model("heavy"), **WEIGHTS})
    stage.sidecar.sync_now()
    stage.sidecar.process.wait_for(stage.host.stalled.is_set, "the fetch to stand still", within=20)


def test_git_killed_in_the_middle_of_a_fetch(start: Start) -> None:
    """Its lock would fail every later sync, and the next try would wipe the checkout that is being served."""
    stage = start()
    stall_a_fetch(stage)
    fetching = stage.sidecar.find("git fetch") + stage.sidecar.find("index-pack")
    assert fetching
    for pid in fetching:
        os.kill(pid, signal.SIGKILL)
    stage.host.behave("refuse")
    stage.sidecar.wait_for_failures(2)
    assert stage.sidecar.link.exists()
    assert stage.answer() == "first"
    stage.host.behave("serve")
    stage.wait_for_answer("heavy")
    assert_no_leftovers(stage.sidecar.root)


def test_all_of_git_sync_killed_in_the_middle_of_a_fetch(start: Start) -> None:
    """The kernel kills a container that takes too much memory; its successor finds what it left behind."""
    stage = start()
    stall_a_fetch(stage)
    stage.sidecar.kill_all()
    stage.host.behave("refuse")
    stage.sidecar.start()
    stage.sidecar.wait_for_failures(1)
    assert stage.sidecar.link.exists()
    stage.host.behave("serve")
    stage.wait_for_answer("heavy")
    assert_no_leftovers(stage.sidecar.root)


def test_a_restart_while_the_host_is_away_keeps_the_checkout(start: Start) -> None:
    """The kubelet starts git-sync again during an outage: the checkout that is served must not be wiped."""
    stage = start()
    stage.host.behave("refuse")
    stage.sidecar.kill_all()
    stage.sidecar.start()
    stage.sidecar.wait_for_error()
    assert stage.sidecar.link.exists()
    assert stage.answer() == "first"
    stage.author.push(model("second"))
    stage.host.behave("serve")
    stage.wait_for_answer("second")


@pytest.mark.parametrize("behaviour", ["hang", "stall"])
def test_a_host_that_hangs_is_given_up_and_tried_again(start: Start, behaviour: str) -> None:
    """git-sync's own timeout does not end a hung sync: without the speed limit it would hang for ever."""
    stage = start(changes=IMPATIENT)
    stage.host.behave("hang" if behaviour == "hang" else "stall")
    stage.author.push({**model("heavy"), **WEIGHTS})
    stage.sidecar.sync_now()
    stage.sidecar.wait_for_error(within=20)
    assert stage.answer() == "first"
    stage.host.behave("serve")
    stage.wait_for_answer("heavy")


def test_a_host_that_is_away_is_tried_again_long_before_the_period_is_over(start: Start) -> None:
    """Left alone, git-sync waits a whole period after a failure: a day."""
    stage = start()
    stage.host.behave("refuse")
    stage.author.push(model("second"))
    stage.sidecar.sync_now()
    assert "period" not in stage.sidecar.wait_for_error()
    stage.host.behave("serve")
    stage.wait_for_answer("second", within=15)
    wait_until(lambda: not stage.sidecar.error_file.exists(), "the error to be taken back", within=10)


def test_a_full_disk_keeps_serving_and_heals(start: Start, small_disk: Path) -> None:
    """Somebody commits a file that does not fit: its leftovers must not keep the next commit out."""
    stage = start(root=small_disk)
    stage.author.push({"constant/weights.bin": os.urandom(24_000_000)})
    stage.sidecar.sync_now()
    assert "No space left" in stage.sidecar.wait_for_error() + stage.sidecar.process.output()
    assert stage.answer() == "first"
    stage.author.start_over()
    stage.author.push({**model("lighter"), "constant/weights.bin": b"small"}, "--force")
    stage.wait_for_answer("lighter", within=20)


def test_the_password_shows_nowhere(start: Start) -> None:
    """Process lists, environments, logs, the error file and .git/config are read by more people than Secrets."""
    stage = start()
    stall_a_fetch(stage)
    running = stage.sidecar.process.leftovers()
    assert any("fetch" in command_line(pid) for pid in running)
    assert not any(PASSWORD in command_line(pid) + environment(pid) for pid in running)
    stage.host.behave("refuse")
    error = stage.sidecar.wait_for_error()
    config = (stage.sidecar.root / ".git" / "config").read_text()
    for text in (error, config, stage.sidecar.process.output()):
        assert PASSWORD not in text


def assert_no_leftovers(root: Path) -> None:
    """Fail when a killed git's locks or half-written packs are still there."""
    git = root / ".git"
    wait_until(
        lambda: not [*git.glob("*.lock"), *git.glob("objects/pack/tmp_*")],
        "what the killed git left behind to go",
        within=20,
        about=lambda: "\n".join(str(path) for path in git.rglob("*")),
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB that the test makes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs git-sync and the right to mount a tmpfs: {mounted.stderr.strip()}")
    yield folder / "git"
    # The processes that used it have ended: this fixture is older than those that start them.
    subprocess.run(["umount", str(folder)], check=True)
