"""What is on disk: the link, the revision, the model folders, the shared code, and what they look like.

Two kinds of models root exist. Behind git-sync a symlink on the way to the root has a commit id as its target's
basename; a new revision is one atomic flip of that link, and the tree behind it never changes. Everything
else is a plain folder, that people copy into at any pace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from loader.errors import LoadError

#: A whole SHA-1 or SHA-256 commit id, as git-sync names its worktrees.
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: Names that are routes beside the models, or are kept free to become routes.
RESERVED = frozenset({"all", "healthz", "readyz", "metrics", "docs", "openapi.json", "status"})
MODULE_SUFFIXES = (".py", ".so", ".pyd")
MOST_LINKS = 40


class CheckoutUnreadable(Exception):
    """The models root cannot be read now; the message says why, and nothing on disk may be concluded."""


@dataclass(frozen=True)
class Tree:
    """The models root as one look at the links found it.

    Attributes:
        root: The real path, with no link in it.
        revision: The commit id, or None for a plain folder.
        links: Every symlink that was followed; a flip replaces one of them.
    """

    root: Path
    revision: str | None
    links: tuple[Path, ...] = ()


@dataclass
class Listing:
    """What stands directly under the models root.

    Attributes:
        models: Model name -> its folder.
        shared: The folders and modules beside the models that are no models.
        refused: Name -> why that entry cannot be a model.
    """

    models: dict[str, Path] = field(default_factory=dict)
    shared: list[Path] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What sizes, times and inodes say of a folder, without reading a file.

    Attributes:
        digest: Equal digests mean that nothing was touched in between.
        files: Path -> its size in bytes, time and inode.
    """

    digest: bytes
    files: dict[str, tuple[int, int, int]]


def resolve(models_dir: Path) -> Tree:
    """Follow *models_dir* link by link, reading each link once, so that path and revision belong together.

    Raises:
        CheckoutUnreadable: The links go in a circle.
    """
    pending = list(reversed(models_dir.absolute().parts[1:]))
    current = Path(models_dir.absolute().anchor)
    revision: str | None = None
    links: list[Path] = []
    while pending:
        part = pending.pop()
        if part == "..":
            current = current.parent
            continue
        try:
            target = Path((current / part).readlink())
        except OSError:
            current /= part
            continue
        links.append(current / part)
        if len(links) > MOST_LINKS:
            raise CheckoutUnreadable(f"{models_dir}: the symlinks go in a circle")
        revision = target.name if COMMIT.fullmatch(target.name) else revision
        if target.is_absolute():
            current = Path(target.anchor)
        pending.extend(reversed([piece for piece in target.parts if piece != target.anchor]))
    return Tree(current, revision, tuple(links))


def scan(tree: Tree) -> Listing:
    """List the models, the shared code and what is refused directly under the root.

    Raises:
        CheckoutUnreadable: The root is missing, is no folder, or may not be read.
    """
    listing = Listing()
    try:
        names = sorted(os.listdir(tree.root))
    except OSError as error:
        raise CheckoutUnreadable(
            f"models root {tree.root}: {(error.strerror or str(error)).lower()}"
        ) from error
    for name in names:
        if not name.startswith(".") and name != "__pycache__":
            _place(tree.root, name, listing)
    return listing


def _place(root: Path, name: str, listing: Listing) -> None:
    path = root / name
    try:
        if path.is_symlink() and (trouble := _link_trouble(root, path)):
            listing.refused[printable(name)] = trouble
        elif path.is_dir() and os.path.lexists(path / "etls.py"):
            if trouble := _name_trouble(name):
                listing.refused[printable(name)] = trouble
            else:
                listing.models[name] = path
        elif _is_shared(path):
            listing.shared.append(path)
    except OSError as error:
        listing.refused[printable(name)] = f"cannot be read: {(error.strerror or str(error)).lower()}"


def _is_shared(path: Path) -> bool:
    if path.is_dir():
        os.listdir(path)  # a folder without permission is reported, not passed over
        return any(name.endswith(MODULE_SUFFIXES) for _, name in _names_below(path))
    return path.name.endswith(MODULE_SUFFIXES)


def _names_below(path: Path) -> Iterator[tuple[str, str]]:
    for folder, _, names in os.walk(path):
        for name in names:
            yield folder, name


def _link_trouble(root: Path, path: Path) -> str | None:
    target = path.resolve()
    if not target.exists():
        return f"is a dangling symlink to {printable(str(path.readlink()))}"
    if not target.is_relative_to(root):
        return "is a symlink that leaves the models root"
    return None


def _name_trouble(name: str) -> str | None:
    if name in RESERVED:
        return f"the name {name} is reserved for a route; rename the folder"
    if printable(name) != name:
        return "the folder's name is not valid UTF-8; rename the folder"
    return None


def printable(name: str) -> str:
    """Return *name* as text that can be encoded: bytes that are no UTF-8 show as hexadecimal escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_noise(name: str) -> bool:
    """Tell whether a file or folder inside a model folder is an editor's, git's or Python's own, never content."""
    return (
        name in {"__pycache__", ".git", ".ipynb_checkpoints", ".DS_Store"}
        or name.endswith((".swp", ".swx", "~"))
        or name.startswith(".#")
    )


def walk(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file of *folder* as (path inside it, real path), sorted; symlinks inside *root* are followed.

    Raises:
        LoadError: A symlink dangles, leaves *root* or goes in a circle, or something is no regular file.
        OSError: A folder cannot be read.
    """
    yield from _walk(folder, "", root, ())


def _walk(folder: Path, inside: str, root: Path, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    real = folder.resolve() if folder.is_symlink() else folder
    if real in above:
        raise LoadError(f"{printable(inside)} is a symlink that goes in a circle")
    with os.scandir(real) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if is_noise(entry.name):
            continue
        name = inside + entry.name
        path = Path(entry.path)
        if entry.is_symlink() and (trouble := _link_trouble(root, path)):
            raise LoadError(f"{printable(name)} {trouble}")
        if entry.is_dir():
            yield from _walk(path, name + "/", root, (*above, real))
        elif entry.is_file():
            yield name, path
        else:
            raise LoadError(f"{printable(name)} is neither a file nor a folder")


def look(folder: Path, root: Path) -> Look:
    """Take sizes, times and inodes of everything in *folder*, which may be a single module file.

    What cannot be read counts as it is found, so that its repair shows as a change.
    """
    files: dict[str, tuple[int, int, int]] = {}
    try:
        for name, path in walk(folder, root) if folder.is_dir() else [(folder.name, folder)]:
            status = path.stat()
            files[name] = (status.st_size, status.st_mtime_ns, status.st_ino)
    except (LoadError, OSError) as error:
        files[str(error)] = (0, 0, 0)
    digest = blake2b(repr(sorted(files.items())).encode("utf-8", "surrogateescape"), digest_size=16)
    return Look(digest.digest(), files)


def shared_sources(listing: Listing, root: Path) -> list[tuple[str, Path]]:
    """Return every file of the shared code as (path below the root, real path).

    What cannot be shared code (a symlink inside it that dangles, say) is moved to the refused ones.
    """
    sources: list[tuple[str, Path]] = []
    for path in list(listing.shared):
        try:
            if path.is_dir():
                sources += [(f"{path.name}/{name}", file) for name, file in walk(path, root)]
            else:
                sources.append((path.name, path))
        except (LoadError, OSError) as error:
            listing.shared.remove(path)
            listing.refused[printable(path.name)] = str(error)
    return sources
