"""Publish commits the way git-sync does: real worktrees, and one link that is replaced atomically."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

IDENTITY = {
    "GIT_AUTHOR_NAME": "author",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "author",
    "GIT_COMMITTER_EMAIL": "author@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def write_tree(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write *files* (path inside *folder* -> content)."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


class Publisher:
    """A repository, and a git-sync root that publishes its commits.

    Attributes:
        link: What a server is given as MODELS_DIR.
    """

    def __init__(self, folder: Path) -> None:
        self.source = folder / "repository"
        self.root = folder / "git"
        self.link = self.root / "current"
        self.source.mkdir(parents=True)
        self.root.mkdir()
        self._git("init", "-q", "-b", "main")

    def commit(self, files: Mapping[str, str | bytes | None]) -> str:
        """Commit *files*, None for a path to remove, and return the commit's id; nothing is published yet."""
        for name, content in files.items():
            path = self.source / name
            if content is None:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_tree(self.source, {name: content for name, content in files.items() if content is not None})
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "change")
        return self._git("rev-parse", "HEAD")

    def push(self, files: Mapping[str, str | bytes | None]) -> str:
        """Commit *files* and publish the commit; return its id."""
        revision = self.commit(files)
        self.flip(revision)
        return revision

    def flip(self, revision: str) -> None:
        """Make the worktree of *revision*, rename the new link over the old one, and remove the old worktree."""
        before = self.link.readlink().name if self.link.is_symlink() else None
        worktree = self.root / ".worktrees" / revision
        if not worktree.exists():
            self._git("worktree", "add", "-q", "--detach", str(worktree), revision)
        fresh = self.root / "tmp-link"
        fresh.symlink_to(Path(".worktrees") / revision)
        fresh.rename(self.link)
        if before is not None and before != revision:
            shutil.rmtree(self.root / ".worktrees" / before, ignore_errors=True)
            self._git("worktree", "prune")

    def worktree(self) -> Path:
        """Return the folder that the link leads to."""
        return self.link.resolve()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.source,
            env={**os.environ, **IDENTITY},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()
