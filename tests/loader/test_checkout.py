"""What a models root looks like, whatever links lead to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.checkout import CheckoutUnreadable, look, resolve, scan, walk
from loader.errors import LoadError
from tests.publishing import write_tree

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def synced(tmp_path: Path) -> Path:
    """A git-sync root with one worktree and its link."""
    write_tree(tmp_path / "git" / ".worktrees" / COMMIT, {"models/m/etls.py": "", "common/x.py": ""})
    (tmp_path / "git" / "current").symlink_to(Path(".worktrees") / COMMIT)
    return tmp_path / "git" / "current"


def test_the_link_gives_the_revision(synced: Path) -> None:
    """No answer could say which commit gave it."""
    tree = resolve(synced)
    assert (tree.root, tree.revision, tree.links) == (
        synced.parent / ".worktrees" / COMMIT,
        COMMIT,
        (synced,),
    )


def test_a_folder_behind_the_link_has_the_revision_too(synced: Path) -> None:
    """A repository with its models in a subfolder would be taken for a plain folder."""
    assert resolve(synced / "models").revision == COMMIT
    (synced.parent / "serve").symlink_to("current/models")
    tree = resolve(synced.parent / "serve")
    assert (tree.revision, tree.root.name, len(tree.links)) == (COMMIT, "models", 2)


def test_other_links_make_a_plain_folder(tmp_path: Path) -> None:
    """Any link would be taken for a commit."""
    (tmp_path / "releases" / "v12").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/v12")
    assert resolve(tmp_path / "current").revision is None


def test_a_sha256_commit_is_a_commit(tmp_path: Path) -> None:
    """Repositories with the new object format would have no revision."""
    (tmp_path / ("ab" * 32)).mkdir()
    (tmp_path / "current").symlink_to("ab" * 32)
    assert resolve(tmp_path / "current").revision == "ab" * 32


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    """The server would look for ever."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(CheckoutUnreadable, match="circle"):
        resolve(tmp_path / "a")


def test_folders_are_told_apart(tmp_path: Path) -> None:
    """Shared code would be missed, or documents taken for code."""
    files = [
        "m/etls.py",
        "common/x.py",
        "features.py",
        "docs/a.md",
        "README.md",
        ".git/etls.py",
        "__pycache__/etls.py",
    ]
    write_tree(tmp_path, dict.fromkeys(files, ""))
    listing = scan(resolve(tmp_path))
    assert sorted(listing.models) == ["m"]
    assert [path.name for path in listing.shared] == ["common", "features.py"]
    assert listing.refused == {}


def test_symlinks_inside_the_root_are_followed_and_others_refused(tmp_path: Path) -> None:
    """A model could read what lies beside the repository, or lose what lies in it."""
    write_tree(tmp_path / "root", {"m/etls.py": "", "data/table.csv": "1"})
    (tmp_path / "root" / "m" / "data").symlink_to("../data")
    root = tmp_path / "root"
    assert [name for name, _ in walk(root / "m", root)] == ["data/table.csv", "etls.py"]
    (root / "m" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(LoadError, match="passwd is a symlink that leaves the models root"):
        list(walk(root / "m", root))


def test_noise_is_no_change(tmp_path: Path) -> None:
    """Opening a file in an editor, or importing it, would reload the model."""
    write_tree(tmp_path, {"m/etls.py": ""})
    before = look(tmp_path / "m", tmp_path)
    write_tree(tmp_path, {"m/.etls.py.swp": "", "m/__pycache__/etls.pyc": "", "m/etls.py~": ""})
    assert look(tmp_path / "m", tmp_path).digest == before.digest
    write_tree(tmp_path, {"m/new": ""})
    assert look(tmp_path / "m", tmp_path).digest != before.digest
