"""`server.py check` finds before a push what the server would find after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.processes import REPOSITORY
from tests.publishing import write_tree

GOOD = "class M:\n    def transform_predict(self, a: int):\n        print('noise')\n        return {'a': a}\n"


def check(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "server.py"), "check", *map(str, arguments)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A models root with a good and some bad models."""
    files: Mapping[str, str] = {
        "good/etls.py": "import common.x\n" + GOOD,
        "good/example.json": '{"variables": {"a": 1}}',
        "common/x.py": "",
        "import_fails/etls.py": "import nothing_of_this_name",
        "example_fails/etls.py": GOOD,
        "example_fails/example.json": '{"variables": {"a": "x"}}',
        "all/etls.py": GOOD,
    }
    write_tree(tmp_path / "root", files)
    return tmp_path / "root"


def test_a_root_is_checked_whole(root: Path) -> None:
    """CI would let a broken model through."""
    done = check(root, "--json")
    assert done.returncode == 1
    reports: dict[str, dict[str, Any]] = {report["model"]: report for report in json.loads(done.stdout)}
    assert {name: report["ok"] for name, report in reports.items()} == {
        "good": True,
        "import_fails": False,
        "example_fails": False,
        "all": False,
    }
    assert reports["good"]["example_seconds"] >= 0
    assert reports["good"]["version"]
    assert "requirements.txt" in reports["import_fails"]["error"]
    assert reports["example_fails"]["error"].startswith("example.json: a:")
    assert "reserved" in reports["all"]["error"]


def test_a_single_folder_is_checked_with_its_shared_code(root: Path) -> None:
    """An author could not check just what changed."""
    done = check(root / "good")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split()[:2] == ["ok", "good"]
    assert done.stdout.splitlines()[-1] == "1 checked, 0 failed"
    assert "noise" in done.stderr
    assert check(root / "good", root / "import_fails").returncode == 1


def test_a_root_without_models_fails(tmp_path: Path) -> None:
    """A wrong path in CI would be green."""
    done = check(tmp_path)
    assert done.returncode == 1
    assert "has no model" in done.stdout
    assert check(tmp_path / "missing").returncode == 1


def test_a_load_that_stops_every_thread_is_named(tmp_path: Path) -> None:
    """A push would freeze a live server, and nobody would have known."""
    # A C call that keeps the interpreter lock for as long as a large pickle does.
    code = "import re\nre.match('(a+)+$', 'a' * 25 + 'b')\n" + GOOD
    write_tree(tmp_path, {"m/etls.py": code})
    report = json.loads(check(tmp_path, "--json").stdout)[0]
    assert report["longest_stop_seconds"] > 0.2
    assert "stops every other request for" in check(tmp_path).stdout


def test_nothing_is_left_behind(root: Path, tmp_path: Path) -> None:
    """Checking would fill the disk, or write into the repository."""
    before = sorted(root.rglob("*"))
    (tmp_path / "tmp").mkdir()
    check(root, TMPDIR=str(tmp_path / "tmp"))
    assert sorted(root.rglob("*")) == before
    assert list((tmp_path / "tmp").iterdir()) == []
