"""An immutable private copy of one model folder, one per fingerprint; the last good one outlives the process.

A model never runs from the checkout: git-sync removes a worktree milliseconds after the flip, and people save files
one by one. What is copied here is hashed from the copy, so the fingerprint names the bytes that run.

The state folder has one numbered slot for each process that shares it:

    <state>/<slot>/lock                      held while its process lives
    <state>/<slot>/good.json                 name -> fingerprints and revision of the last good version
    <state>/<slot>/loading/<key>             a mark: this content is being loaded now, or killed the process
    <state>/<slot>/models/<key>/<fingerprint>/<model name>/...
    <state>/<slot>/shared/<fingerprint>/...
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from loader.checkout import printable, walk
from loader.errors import LoadError

CHUNK_BYTES = 1 << 20
LFS_POINTER = b"version https://git-lfs"


class StateUnusable(Exception):
    """The state folder cannot be written or locked; the message names it."""


@dataclass(frozen=True)
class Good:
    """The last version of a model that served: what a restart falls back to."""

    fingerprint: str
    shared: str
    revision: str | None


@dataclass(frozen=True)
class Snapshot:
    """One immutable version of a model's content.

    Attributes:
        name: The model's name.
        folder: The private copy of the model's folder.
        shared: The private copy of the shared code, or None when there is none.
        content: Fingerprint of the folder alone.
        shared_content: Fingerprint of the shared code alone, empty when there is none.
    """

    name: str
    folder: Path
    shared: Path | None
    content: str
    shared_content: str

    @property
    def version(self) -> str:
        """The fingerprint of everything that this version runs: 16 hex digits."""
        return version_of(self.content, self.shared_content)


def version_of(content: str, shared_content: str) -> str:
    """Return the version of a model from the fingerprints of its folder and of the shared code."""
    return _digest([content, shared_content]) if shared_content else content


def fingerprint(sources: Iterable[tuple[str, Path]]) -> str:
    """Hash (name, file) pairs, which must come sorted, without copying.

    Raises:
        LoadError, OSError: As `loader.checkout.walk`, or a file cannot be read.
    """
    parts = []
    for name, path in sources:
        with path.open("rb") as file:
            hasher = blake2b(digest_size=16)
            while chunk := file.read(CHUNK_BYTES):
                hasher.update(chunk)
        parts += [name, hasher.hexdigest()]
    return _digest(parts)


def _digest(parts: Iterable[str]) -> str:
    hasher = blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        hasher.update(len(data).to_bytes(8, "big") + data)
    return hasher.hexdigest()


class Snapshots:
    """The copies of one process, in a slot of the state folder that no other process uses.

    Methods may be called from any thread; copies are made by one thread at a time.
    """

    def __init__(self, state_dir: Path) -> None:
        """Take a free slot, and read what the last process with this slot left.

        Raises:
            StateUnusable: The folder cannot be written.
        """
        try:
            self.slot, self._lock_file = _take_slot(state_dir)
            for part in ("models", "shared", "loading"):
                (self.slot / part).mkdir(exist_ok=True)
            self._remove_unfinished()
        except OSError as error:
            raise StateUnusable(
                f"state folder {state_dir}: {(error.strerror or str(error)).lower()}"
            ) from error
        self._mutex = threading.Lock()
        self._good = self._read_good()
        self._is_saved = True

    def close(self) -> None:
        """Give the slot free; the copies stay for the next process."""
        os.close(self._lock_file)

    def take(self, name: str, folder: Path, root: Path, shared: Path | None, shared_content: str) -> Snapshot:
        """Copy a model folder and hash the copy.

        Args:
            name: The model's name.
            folder: Its folder in the checkout.
            root: The models root: symlinks that stay inside it are followed.
            shared: The snapshot of the shared code that belongs to this version.
            shared_content: Its fingerprint.

        Raises:
            LoadError: The folder has something that cannot be content.
            OSError: The folder vanished or cannot be read.
        """
        home = self.slot / "models" / _key(name)
        content = self._copy(home, name, list(walk(folder, root)))
        return Snapshot(name, home / content / name, shared, content, shared_content)

    def take_shared(self, sources: list[tuple[str, Path]]) -> tuple[Path | None, str]:
        """Copy the shared code; return its folder and fingerprint, or None and "" when there is none."""
        if not sources:
            return None, ""
        content = self._copy(self.slot / "shared", "", sources)
        return self.slot / "shared" / content, content

    def _copy(self, home: Path, inner: str, sources: list[tuple[str, Path]]) -> str:
        staging = home / f".new-{threading.get_ident()}"
        shutil.rmtree(staging, ignore_errors=True)
        (staging / inner).mkdir(parents=True)
        try:
            for name, source in sources:
                _copy_file(name, source, staging / inner / name)
            content = fingerprint((name, staging / inner / name) for name, _ in sources)
            if (home / content).exists():
                # A version that runs keeps its copy, with what its model wrote into it.
                shutil.rmtree(staging)
            else:
                staging.rename(home / content)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return content

    def restore(self, name: str) -> tuple[Snapshot, Good] | None:
        """Return the kept last good snapshot of *name*, or None when there is none that is whole."""
        good = self.good(name)
        if good is None:
            return None
        folder = self.slot / "models" / _key(name) / good.fingerprint / name
        shared = self.slot / "shared" / good.shared if good.shared else None
        if not folder.is_dir() or (shared is not None and not shared.is_dir()):
            return None
        return Snapshot(name, folder, shared, good.fingerprint, good.shared), good

    def good(self, name: str) -> Good | None:
        """Return what is known of the last good version of *name*."""
        return self._good.get(name)

    def good_names(self) -> list[str]:
        """Return the names of all models that have a last good version."""
        return sorted(self._good)

    def keep(self, snapshot: Snapshot, revision: str | None) -> None:
        """Make *snapshot* the last good version of its model; `save` makes that outlive the process."""
        with self._mutex:
            self._good[snapshot.name] = Good(snapshot.content, snapshot.shared_content, revision)
            self._is_saved = False

    def forget(self, name: str) -> None:
        """Drop the last good version of a model that was removed."""
        with self._mutex:
            if self._good.pop(name, None) is not None:
                self._is_saved = False

    def save(self) -> None:
        """Write down which versions are the last good ones, if that has changed."""
        with self._mutex:
            if not self._is_saved:
                path = self.slot / "good.json"
                fresh = path.with_suffix(".new")
                fresh.write_text(json.dumps({name: asdict(good) for name, good in self._good.items()}))
                fresh.replace(path)
                self._is_saved = True

    def mark(self, name: str, version: str) -> int:
        """Note that *version* is being loaded now; return how often it has killed the process already."""
        path = self.slot / "loading" / _key(name)
        deaths = self.deaths(name, version)
        path.write_text(json.dumps({"version": version, "deaths": deaths + 1}))
        return deaths

    def unmark(self, name: str) -> None:
        """Note that the load is over and the process lives."""
        (self.slot / "loading" / _key(name)).unlink(missing_ok=True)

    def deaths(self, name: str, version: str) -> int:
        """Return how many processes died while they loaded this version."""
        try:
            mark = json.loads((self.slot / "loading" / _key(name)).read_text())
        except (OSError, ValueError):
            return 0
        return int(mark["deaths"]) if mark.get("version") == version else 0

    def sweep(self, in_use: Iterable[Snapshot]) -> None:
        """Remove every copy that neither runs nor is a last good version; not while a copy is being made."""
        self.save()
        with self._mutex:
            used = list(in_use)
            keep = {snapshot.folder.parent for snapshot in used} | {s.shared for s in used if s.shared}
            for name, good in self._good.items():
                keep |= {
                    self.slot / "models" / _key(name) / good.fingerprint,
                    self.slot / "shared" / good.shared,
                }
        for home in [*(self.slot / "models").iterdir(), self.slot / "shared"]:
            for copy in home.iterdir():
                if copy not in keep and not copy.name.startswith(".new-"):
                    shutil.rmtree(copy, ignore_errors=True)
            if home.name != "shared" and not any(home.iterdir()):
                home.rmdir()

    def _remove_unfinished(self) -> None:
        for staging in self.slot.glob("**/.new-*"):
            shutil.rmtree(staging, ignore_errors=True)

    def _read_good(self) -> dict[str, Good]:
        try:
            kept = json.loads((self.slot / "good.json").read_text())
            return {name: Good(**entry) for name, entry in kept.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def _take_slot(state_dir: Path) -> tuple[Path, int]:
    for number in range(1000):
        slot = state_dir / str(number)
        slot.mkdir(parents=True, exist_ok=True)
        handle = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        return slot, handle
    raise StateUnusable(f"state folder {state_dir}: every slot is taken by another process")


def _key(name: str) -> str:
    """Return a folder name for *name* that is short, printable and its own."""
    return f"{quote(name, safe=' ')[:60]}-{_digest([name])[:8]}"


def _copy_file(name: str, source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    target.chmod(target.stat().st_mode | 0o200)
    with target.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise LoadError(
                f"{printable(name)} is a Git LFS pointer, not the file itself: git-sync does not fetch LFS content; "
                "commit the file to git proper, or fetch it in the model's code"
            )
