"""`server.py check`: the server's own loader, run over models without serving them.

It is what a models repository runs in its CI before a push: import, construct, run `example.json`, encode the answer,
and time all that. What a load would do to a live server counts too: the longest moment in which it stopped every other
thread is measured and named.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson

from loader import checkout
from loader.checkout import CheckoutUnreadable, Listing, Tree
from loader.errors import LoadError
from loader.imports import Imports
from loader.loads import Job, Loads
from loader.model import Codec, load
from loader.publisher import describe_load
from loader.snapshots import Snapshots
from settings import Settings
from web.encoding import decode_body, encode

#: A stop of all threads that is longer than this is named in the table.
NOTABLE_STOP_SECONDS = 0.1
HEARTBEAT_SECONDS = 0.005


@dataclass
class Report:
    """How one model fared.

    Attributes:
        model: Its name.
        ok: It would serve.
        load_seconds: Copy, import and construction.
        example_seconds: The call of its example, or None when it has none.
        longest_stop_seconds: The longest time in which the load let no other thread run.
        version: The fingerprint that it would serve under.
        error: What is wrong, or None.
    """

    model: str
    ok: bool = False
    load_seconds: float | None = None
    example_seconds: float | None = None
    longest_stop_seconds: float = 0.0
    version: str | None = None
    error: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="FOLDER",
        type=Path,
        help="a model's folder or a models root; default: MODELS_DIR",
    )
    parser.add_argument("--json", action="store_true", help="write the reports as one JSON array")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Check what *options* name; return 0 when every model would serve, else 1."""
    with tempfile.TemporaryDirectory(prefix="model-serving-check-") as state, _quiet_stdout() as out:
        checker = Checker(Path(state), settings.model_concurrency)
        reports = [
            report for folder in options.folders or [settings.models_dir] for report in checker.check(folder)
        ]
        checker.close()
        if options.json:
            out.write(
                orjson.dumps([asdict(report) for report in reports], option=orjson.OPT_INDENT_2).decode()
                + "\n"
            )
        else:
            out.write(table(reports))
        out.flush()
    return 0 if reports and all(report.ok for report in reports) else 1


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[TextIO]:
    """Send what models print, native code included, to stderr; yield the real stdout for the reports."""
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield out
    finally:
        os.dup2(out.fileno(), 1)
        out.close()


class Checker:
    """Loads models as the server does, one at a time, and throws them away."""

    def __init__(self, state_dir: Path, default_concurrency: int) -> None:
        """Make copies in *state_dir*."""
        self._snapshots = Snapshots(state_dir)
        self._default_concurrency = default_concurrency
        self._codec = Codec(decode_body, encode)
        self._imports = Imports()
        self._imports.install()
        self._loads = Loads(patience_seconds=None)

    def close(self) -> None:
        """Take the import hooks out and end the threads."""
        self._loads.stop()
        self._imports.uninstall()
        self._snapshots.close()

    def check(self, folder: Path) -> Iterator[Report]:
        """Yield a report for *folder* if it is a model, else for each model in it."""
        try:
            tree = checkout.resolve(folder.parent if (folder / "etls.py").exists() else folder)
            listing = checkout.scan(tree)
        except CheckoutUnreadable as error:
            yield Report(str(folder), error=str(error))
            return
        is_model = (folder / "etls.py").exists()
        names = [folder.resolve().name] if is_model else sorted(listing.models)
        for name in names:
            yield self._check(tree, listing, name)
        if not is_model:
            yield from (Report(name, error=reason) for name, reason in sorted(listing.refused.items()))
            if not names:
                yield Report(str(folder), error="has no model: no folder in it contains an etls.py")

    def _check(self, tree: Tree, listing: Listing, name: str) -> Report:
        report = Report(name)
        if name in listing.refused:
            report.error = listing.refused[name]
            return report
        heartbeat = Heartbeat()
        started = time.perf_counter()
        try:
            shared = self._snapshots.take_shared(checkout.shared_sources(listing, tree.root))
            snapshot = self._snapshots.take(name, listing.models[name], tree.root, *shared)
            report.version = snapshot.version
            model = self._run(lambda _: load(snapshot, None, self._imports, self._default_concurrency))
            report.load_seconds = time.perf_counter() - started
            report.example_seconds = self._run(
                lambda elsewhere: elsewhere(lambda: model.rehearse(self._codec))
            )
            self._run(lambda _: model.close(may_call=True))
            report.ok = True
        except (LoadError, OSError) as error:
            report.error = describe_load(error)
        report.longest_stop_seconds = heartbeat.stop()
        return report

    def _run(self, steps: Callable[[Any], Any]) -> Any:
        job: Job[Any] = self._loads.run(steps, lambda: None)
        if job.error is not None:
            raise job.error
        return job.result


class Heartbeat:
    """A thread that wakes all the time, to notice when nothing lets it: C code that holds the interpreter lock."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._longest_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """End it and return the longest stop in seconds."""
        self._is_over.set()
        self._thread.join()
        return self._longest_seconds

    def _run(self) -> None:
        before = time.perf_counter()
        while not self._is_over.wait(HEARTBEAT_SECONDS):
            now = time.perf_counter()
            self._longest_seconds = max(self._longest_seconds, now - before - HEARTBEAT_SECONDS)
            before = now


def table(reports: list[Report]) -> str:
    """Return the reports as lines for a person."""
    width = max((len(report.model) for report in reports), default=0)
    lines = []
    for report in reports:
        line = f"{'ok    ' if report.ok else 'FAILED'}  {report.model:{width}}  {_times(report)}"
        if report.longest_stop_seconds >= NOTABLE_STOP_SECONDS:
            line += f"  stops every other request for {report.longest_stop_seconds:.1f} s while it loads"
        lines.append(line.rstrip())
        if report.error:
            lines.append(f"        {report.error}")
    failed = sum(not report.ok for report in reports)
    lines.append(f"{len(reports)} checked, {failed} failed" if reports else "nothing to check")
    return "\n".join(lines) + "\n"


def _times(report: Report) -> str:
    if report.load_seconds is None:
        return ""
    example = (
        "no example.json"
        if report.example_seconds is None
        else f"example {1000 * report.example_seconds:.1f} ms"
    )
    return f"load {report.load_seconds:.2f} s  {example}"
