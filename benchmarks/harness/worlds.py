"""Make checkouts as git-sync leaves them: a link that is flipped between worktrees named by commit ids."""

import hashlib
import shutil
from pathlib import Path

LIGHT_MODEL = '''\
"""Multiply and add; EDITION tells one content from the next."""

EDITION = {edition}


class Light:
    """One row in, one number out."""

    def transform_predict(self, variables: dict) -> dict:
        """Score one row."""
        return {{"prediction": variables["a"] * variables["b"] + variables["c"], "edition": EDITION}}
'''

COUNTING_MODEL = '''\
"""Count numbers: what is measured is how a body is read."""


class Counting:
    """A list in, its length out."""

    def transform_predict(self, variables: dict) -> dict:
        """Count."""
        return {"prediction": len(variables["values"])}
'''


class World:
    """A root folder whose link `current` points at one worktree at a time."""

    def __init__(self, root: Path):
        shutil.rmtree(root, ignore_errors=True)
        (root / ".worktrees").mkdir(parents=True)
        self.root = root
        self.link = root / "current"
        self._commits = 0
        self._previous: Path | None = None

    def commit(self, files: dict[str, str]) -> tuple[Path, str]:
        """Write *files* as the worktree of a new commit, not yet visible; return it and its id."""
        self._commits += 1
        revision = hashlib.sha1(f"{self.root}{self._commits}".encode()).hexdigest()
        worktree = self.root / ".worktrees" / revision
        for name, text in files.items():
            file = worktree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return worktree, revision

    def flip(self, worktree: Path) -> None:
        """Point the link at *worktree* in one rename, then remove the one before, as git-sync does."""
        temporary = self.root / "tmp-link"
        temporary.symlink_to(worktree.relative_to(self.root))
        temporary.rename(self.link)
        if self._previous:
            shutil.rmtree(self._previous)
        self._previous = worktree


def light_models(count: int, edition: int, changed: int = 0) -> dict[str, str]:
    """Return *count* light models at edition 0, the first *changed* of them at *edition*."""
    return {
        f"{model_name(number)}/etls.py": LIGHT_MODEL.format(edition=edition if number < changed else 0)
        for number in range(count)
    }


def model_name(number: int) -> str:
    """Return the folder of one model."""
    return f"light{number:04}"
