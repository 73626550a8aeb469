"""A private copy for each content; the last good one outlives the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.errors import LoadError
from loader.snapshots import Snapshots, StateUnusable
from tests.publishing import write_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A models root with one model."""
    write_tree(tmp_path / "root", {"m/etls.py": "one", "m/data/x": "x"})
    return tmp_path / "root"


def test_the_copy_is_private_and_named_by_its_content(tmp_path: Path, root: Path) -> None:
    """A model would change under its own feet."""
    snapshots = Snapshots(tmp_path / "state")
    first = snapshots.take("m", root / "m", root, None, "")
    (root / "m" / "etls.py").write_text("two")
    second = snapshots.take("m", root / "m", root, None, "")
    assert (first.folder / "etls.py").read_text() == "one"
    assert (second.folder / "data" / "x").read_text() == "x"
    assert first.version != second.version
    assert snapshots.take("m", root / "m", root, None, "") == second
    assert first.folder.name == "m"


def test_the_version_counts_the_shared_code_in(tmp_path: Path, root: Path) -> None:
    """A change of shared code would reload nothing."""
    snapshots = Snapshots(tmp_path / "state")
    (root / "common.py").write_text("a")
    versions = set()
    for text in ("a", "b"):
        (root / "common.py").write_text(text)
        shared = snapshots.take_shared([("common.py", root / "common.py")])
        versions.add(snapshots.take("m", root / "m", root, *shared).version)
    assert len(versions) == 2


def test_the_last_good_version_outlives_the_process(tmp_path: Path, root: Path) -> None:
    """A restart after a bad push would serve nothing."""
    snapshots = Snapshots(tmp_path / "state")
    good = snapshots.take("m", root / "m", root, None, "")
    snapshots.keep(good, "abc")
    (root / "m" / "etls.py").write_text("bad")
    snapshots.take("m", root / "m", root, None, "")
    snapshots.sweep([])
    snapshots.close()
    again = Snapshots(tmp_path / "state")
    restored = again.restore("m")
    assert restored is not None
    assert restored[0] == good
    assert restored[1].revision == "abc"
    assert len(list((tmp_path / "state").glob("0/models/*/*"))) == 1


def test_two_processes_never_share_a_slot(tmp_path: Path) -> None:
    """They would delete each other's copies."""
    first = Snapshots(tmp_path)
    second = Snapshots(tmp_path)
    assert first.slot != second.slot
    first.close()
    assert Snapshots(tmp_path).slot == first.slot


def test_a_mark_counts_the_processes_that_died(tmp_path: Path) -> None:
    """A push that kills the process would be loaded again and again."""
    for deaths in range(3):
        snapshots = Snapshots(tmp_path)
        assert snapshots.deaths("m", "v1") == deaths
        assert snapshots.deaths("m", "v2") == 0
        snapshots.mark("m", "v1")
        snapshots.close()
    snapshots = Snapshots(tmp_path)
    snapshots.unmark("m")
    assert snapshots.deaths("m", "v1") == 0


def test_what_a_dead_process_left_half_done_is_removed(tmp_path: Path) -> None:
    """The disk would fill with every crash."""
    Snapshots(tmp_path).close()
    write_tree(tmp_path / "0" / "models" / "m", {".new-1/m/etls.py": ""})
    Snapshots(tmp_path)
    assert list(tmp_path.rglob(".new-*")) == []


def test_a_damaged_record_is_no_crash(tmp_path: Path) -> None:
    """A disk that was full once would keep the server from starting."""
    Snapshots(tmp_path).close()
    (tmp_path / "0" / "good.json").write_text("{broken")
    assert Snapshots(tmp_path).good_names() == []


def test_an_lfs_pointer_is_named(tmp_path: Path, root: Path) -> None:
    """The author would read an UnpicklingError."""
    (root / "m" / "w.pkl").write_text("version https://git-lfs.github.com/spec/v1\n")
    snapshots = Snapshots(tmp_path / "state")
    with pytest.raises(LoadError, match=r"w\.pkl is a Git LFS pointer"):
        snapshots.take("m", root / "m", root, None, "")
    assert list((tmp_path / "state").rglob(".new-*")) == []


def test_a_state_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    """The server would fall over with a traceback."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StateUnusable, match=r"not a directory|file exists"):
        Snapshots(tmp_path / "state")
