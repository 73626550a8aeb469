"""What a load changes in the process, and how it goes with the version.

That is `sys.path`, the working directory, the warnings filters, and what the standard library keeps of files and
classes that are gone.
"""

from __future__ import annotations

import copyreg
import linecache
import os
import sys
import threading
import typing
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from loader.facades import Facade

#: Never the text of a warning: a filter with it stands for a place in the list of filters.
MARK = "model-serving: what stands before this filter was added by load"


class Loaded(Protocol):
    """A version that changes things: the folders of its files, and where its modules are searched for."""

    name: str
    folders: list[Path]
    search: list[str]
    builtins: dict[str, Any]


@dataclass
class Claims:
    """What one version added to the process."""

    first: list[Any] = field(default_factory=list)
    last: list[Any] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    directory: str | None = None


class SideEffects:
    """Keeps, for each live version, what its loads changed, and how the process was before any.

    Loads may overlap: then both claim a change, and it goes with the last of them.
    """

    def __init__(self) -> None:
        self._home = _directory() or "/"
        self._path = list(sys.path)
        self._filters = list(warnings.filters)
        self._lock = threading.RLock()
        self._marks = count()
        self._claims: dict[Any, Claims] = {}
        self._recordings = 0
        self._is_due = False

    def begin(self, version: Loaded) -> None:
        """Keep account of *version* until `release`."""
        with self._lock:
            self._claims[version] = Claims()

    @contextmanager
    def recording(self, version: Loaded) -> Iterator[None]:
        """Claim for *version* what changes meanwhile."""
        mark = f"{MARK} {next(self._marks)}"
        filters, path, directory = list(warnings.filters), list(sys.path), _directory()
        with self._lock:
            self._recordings += 1
        warnings.filterwarnings("ignore", message=mark)
        try:
            yield
        finally:
            with self._lock:
                self._recordings -= 1
                claims = self._claims.get(version, Claims())
                self._claim_filters(claims, mark, filters)
                self.adopt(version)
                claims.path += [
                    entry for entry in sys.path if entry not in path and not self._is_library(entry)
                ]
                if _directory() != directory:
                    claims.directory = _directory()
                if self._is_due:
                    self._restore_filters()

    def adopt(self, version: Loaded) -> None:
        """Move what model code added to `sys.path` inside the version's folders to the version's own search path."""
        if sys.path == self._path:
            return
        with self._lock:
            old = next((place for place, entry in enumerate(sys.path) if entry in self._path), len(sys.path))
            ours = {
                place: entry
                for place, entry in enumerate(sys.path)
                if entry not in self._path and _is_inside(entry, version.folders)
            }
            sys.path[:] = [entry for place, entry in enumerate(sys.path) if place not in ours]
            for place, entry in reversed(ours.items()):
                folder = str(Path(entry).absolute())
                # A second instance of the version, or another model with the same shared code, may have added it.
                for peer in self._claims:
                    if folder not in peer.search and _is_inside(folder, peer.folders):
                        peer.search.insert(0 if place < old else len(peer.search), folder)

    def release(self, version: Loaded) -> None:
        """Undo what only *version* changed; what a live version claims stays."""
        with self._lock:
            claims = self._claims.pop(version, None)
            if claims is None:
                return
            self._restore_filters()
            self._release_path(version, claims)
            self._release_directory(version, claims)
        for folder in version.folders:
            if not any(folder in other.folders for other in self._claims):
                forget_files(folder)
        forget_classes(version)

    def _claim_filters(self, claims: Claims, mark: str, before: list[Any]) -> None:
        now = list(warnings.filters)
        place = next((index for index, item in enumerate(now) if item[1] and item[1].pattern == mark), 0)
        claims.first += now[:place]
        claims.last += [item for item in now[place + 1 :] if item not in before]
        warnings.filters[:] = [item for item in now if not (item[1] and item[1].pattern == mark)]  # type: ignore[index]

    def _restore_filters(self) -> None:
        """Drop the filters that nobody claims. Waits for loads under way, whose filters nobody has claimed yet."""
        self._is_due = self._recordings > 0
        if self._is_due:
            return
        now = list(warnings.filters)
        first = [item for claims in self._claims.values() for item in claims.first]
        last = [item for claims in self._claims.values() for item in claims.last]
        kept = [item for item in now if item in first]
        rest = [item for item in self._filters if item not in kept]
        kept += rest + [item for item in now if item in last and item not in kept + rest]
        if kept != now:
            warnings.filters[:] = kept  # type: ignore[index]
            # Python caches what the filters said; only its own functions can tell it that they changed.
            warnings.filterwarnings("ignore", message=MARK)
            del warnings.filters[0]  # type: ignore[attr-defined]

    def _is_library(self, entry: str) -> bool:
        """Say whether an installed library brought *entry*: it is never imported again, so it needs it for good."""
        return _is_inside(entry, [Path(folder) for folder in self._path if folder.endswith("-packages")])

    def _release_path(self, version: Loaded, claims: Claims) -> None:
        self.adopt(version)
        # A later version may have found the entry there and not added it again.
        heirs = [other for owner, other in self._claims.items() if owner.name == version.name]
        for entry in claims.path:
            if heirs:
                heirs[-1].path.append(entry)
            elif not any(entry in other.path for other in self._claims.values()):
                with suppress(ValueError):
                    sys.path.remove(entry)

    def _release_directory(self, version: Loaded, claims: Claims) -> None:
        now = _directory()
        if now is not None and now != claims.directory and not _is_inside(now, version.folders):
            return
        if now is None or not any(
            claim.directory == now or _is_inside(now, owner.folders) for owner, claim in self._claims.items()
        ):
            with suppress(OSError):
                os.chdir(self._home)


def forget_files(folder: Path) -> None:
    """Drop what Python keeps of the files in *folder*: modules that code put in by itself, finders, source lines."""
    inside = (f"{folder}/", f"{folder.resolve()}/")
    for name, module in list(sys.modules.items()):
        with suppress(TypeError):  # some libraries put objects there that are no modules
            if type(module) is not Facade and str(vars(module).get("__file__")).startswith(inside):
                sys.modules.pop(name, None)
    for cache in (sys.path_importer_cache, linecache.cache):
        for file in [file for file in list(cache) if f"{file}/".startswith(inside)]:
            cache.pop(file, None)


def forget_classes(version: Loaded) -> None:
    """Drop what Python keeps of the classes of *version*: reducers, and the caches of `typing`."""
    for kind, reduce in list(copyreg.dispatch_table.items()):
        if getattr(reduce, "__builtins__", None) is version.builtins:
            copyreg.dispatch_table.pop(kind, None)
    for clear in getattr(typing, "_cleanups", ()):
        clear()


def _directory() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None


def _is_inside(path: str, folders: Iterable[Path]) -> bool:
    path = os.path.realpath(path)
    real = [os.path.realpath(folder) for folder in folders]
    return any(os.path.commonpath([path, folder]) == folder for folder in real)
