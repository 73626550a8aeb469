"""Tracebacks that show the author's files, not how the server imports them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

#: The modules between one file of a model and the next in a traceback.
HIDDEN = ("hooks.py", "statements.py", "namespace.py", "imports.py", "turns.py", "facades.py", "siblings.py")


@contextmanager
def readable_tracebacks() -> Iterator[None]:
    """Take the frames of the import machinery out of what is raised, as Python does with its own `importlib`."""
    try:
        yield
    except BaseException as error:
        for link in chain(error):
            hide_machinery(link.__traceback__)
        raise


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error*, its causes and contexts, each once."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and link not in seen:
            seen.append(link)
            waiting += [link.__cause__, link.__context__]
            yield link


def hide_machinery(traceback: TracebackType | None) -> None:
    """Unlink the frames that lie between a model's files; whichever one a traceback begins with, it goes on there."""
    links = []
    while traceback is not None:
        links.append(traceback)
        traceback = traceback.tb_next
    shown = None
    for link in reversed(links):
        link.tb_next = shown
        if not _is_machinery(link.tb_frame.f_code.co_filename):
            shown = link


def _is_machinery(file: str) -> bool:
    path = Path(file)
    return file.startswith("<frozen importlib") or (
        path.parent == Path(__file__).parent and path.name in HIDDEN
    )
