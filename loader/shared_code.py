"""The folders and modules beside the models: one snapshot of their own, whose content counts into every version."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from loader import checkout
from loader.checkout import Listing, Look, Tree
from loader.snapshots import Snapshots, fingerprint

#: Told of each path in a plain folder; says whether it has been left alone for long enough.
HasSettled = Callable[[str, Look], bool]


class SharedCode:
    """The newest copy of the shared code; used by the reloader's thread alone.

    Attributes:
        folder: The copy, or None when there is no shared code.
        content: Its fingerprint, empty when there is none.
        digest: Changes whenever the content may have, in a plain folder.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._is_read = False
        self.folder: Path | None = None
        self.content = ""
        self.digest = b""

    def read(self, tree: Tree, listing: Listing, has_settled: HasSettled) -> bool:
        """Bring the copy up to date; False when a plain folder has to settle first.

        Raises:
            LoadError, OSError: As `Snapshots.take_shared`.
        """
        sources = checkout.shared_sources(listing, tree.root)
        digest = blake2b()
        if tree.revision is None:
            looks = {path.name: checkout.look(path, tree.root) for path in listing.shared}
            if not all([has_settled(f"/{name}", look) for name, look in looks.items()]):  # noqa: C419 - each is told
                return False
            for name, look in looks.items():
                digest.update(name.encode("utf-8", "surrogateescape") + look.digest)
        is_same = digest.digest() == self.digest if tree.revision is None else self._has_content(sources)
        if not (self._is_read and is_same):
            self.folder, self.content = self._snapshots.take_shared(sources)
        self._is_read = True
        self.digest = digest.digest()
        return True

    def _has_content(self, sources: list[tuple[str, Path]]) -> bool:
        return (fingerprint(sources) if sources else "") == self.content
