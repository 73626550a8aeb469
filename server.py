"""Serve the models of a folder over HTTP, or check them without serving.

    python server.py                    serve MODELS_DIR until SIGTERM
    python server.py check [FOLDER...]  load every model as the server would, run its example, and say what fails

Exit codes: 0 stopped, 1 a checked model fails, 2 bad configuration, 3 could not start.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import prometheus_client

import check
from loader.advice import Adviser
from loader.imports import Imports
from loader.lane import Lane
from loader.model import Codec
from loader.publisher import Publisher
from loader.registry import Registry
from loader.reloader import Reloader
from loader.snapshots import Snapshots, StateUnusable
from loader.watcher import Watcher
from logs import Logs
from settings import Settings, SettingsInvalid
from web.app import AppSettings, ServingApp
from web.encoding import decode_body, encode
from web.httpd import Limits, Server
from web.metrics import Exposition, HttpStats, ModelCollectors, ServingCollector

VERSION = "1.0.0"
STOPPED, BAD_CONFIGURATION, NOT_STARTED = 0, 2, 3

#: Native libraries start a thread per core for every call unless told otherwise: with many callers, a heavy loss.
THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

log = logging.getLogger("model_serving.server")


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="server.py", description="Serve the models of a folder over HTTP.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM; what happens without a command")
    check.add_arguments(
        commands.add_parser("check", help="load every model without serving; exit 1 when one fails")
    )
    options = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
    except SettingsInvalid as error:
        sys.stderr.write("wrong settings:\n" + "".join(f"  {problem}\n" for problem in error.problems))
        return BAD_CONFIGURATION
    if options.command == "check":
        return check.run(options, settings)
    return Service(settings).run()


class Service:
    """The parts of the server, wired; one of it lives as long as the process."""

    def __init__(self, settings: Settings) -> None:
        """Wire everything; nothing starts yet."""
        self._settings = settings
        self._logs = Logs(settings.log_level, settings.log_format)
        self._wakeup: tuple[int, int] = os.pipe()
        self._imports = Imports()

    def run(self) -> int:
        """Serve until a signal comes; return the exit code."""
        faulthandler.enable(file=2)
        for name in THREAD_POOLS:
            os.environ.setdefault(name, "1")
        self._logs.install()
        try:
            self._snapshots = Snapshots(
                self._settings.state_dir or default_state_dir(self._settings.models_dir)
            )
            self._assemble()
            host, port = self._server.bind()
        except (StateUnusable, OSError) as error:
            log.error("could not start", extra={"error": self._start_trouble(error)})  # noqa: TRY400
            return NOT_STARTED
        self._catch_signals()
        self._imports.install()
        self._reloader.start()
        self._watcher.start()
        serving = threading.Thread(target=self._serve, name="http", daemon=True)
        serving.start()
        base = f"/{self._settings.base_url}" if self._settings.base_url else ""
        log.info("listening", extra={"host": host, "port": port, "base_url": f"{base}/"})
        self._shut_down(serving, self._wait_for_signal())
        return STOPPED

    def _assemble(self) -> None:
        settings = self._settings
        registry = Registry(
            lambda: Lane(settings.model_queue_size, self._reloader.retire, self._reloader.renew)
        )
        self._reloader = Reloader(settings.models_dir, registry, self._snapshots, self._make_publisher)
        self._watcher = Watcher(
            settings.models_dir, self._reloader.wake, settings.poll_seconds, Adviser(registry).look
        )
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        http = HttpStats()
        own = ServingCollector(registry, http, lambda: self._watcher.restarts, VERSION)
        exposition = Exposition([own, prometheus_client.REGISTRY, ModelCollectors(registry)])
        self._app = ServingApp(
            registry,
            http,
            exposition,
            AppSettings(
                settings.base_url,
                settings.threads,
                settings.ready_policy,
                settings.request_timeout_seconds,
                settings.debug,
            ),
        )
        self._server = Server(
            self._app,
            host=settings.host,
            port=settings.port,
            limits=Limits(
                threads=settings.threads,
                request_timeout_seconds=settings.request_timeout_seconds,
                max_body_bytes=settings.max_body_bytes,
                keep_alive_seconds=settings.keep_alive_seconds,
            ),
            lane_for=self._app.lane_for,
            on_deadline=self._app.answers.on_deadline,
            on_rejected=self._app.answers.on_rejected,
        )

    def _make_publisher(self, wake: Callable[[], None]) -> Publisher:
        return Publisher(
            self._snapshots,
            self._imports,
            Codec(decode_body, encode),
            default_concurrency=self._settings.model_concurrency,
            patience_seconds=self._settings.load_patience_seconds,
            wake=wake,
            after_load=self._logs.restore,
        )

    def _serve(self) -> None:
        try:
            self._server.serve()
        except BaseException:  # without its server the process is of no use: end it, and say why
            log.exception("serving failed")
            os._exit(NOT_STARTED)

    def _catch_signals(self) -> None:
        """Have every signal written to a pipe: it may reach any thread, and none but the main one handles it.

        SIGUSR1 writes the stack of every thread to stderr, for whoever wonders what the process is doing.
        """
        faulthandler.register(signal.SIGUSR1, file=2)
        os.set_blocking(self._wakeup[1], False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)

    def _wait_for_signal(self) -> int:
        number = os.read(self._wakeup[0], 1)[0]
        for again in (signal.SIGTERM, signal.SIGINT):  # whoever sends a second one does not want to wait
            signal.signal(again, lambda _number, _frame: os._exit(STOPPED))
        return number

    def _shut_down(self, serving: threading.Thread, number: int) -> None:
        """Drain, close the models, and be gone at the deadline, whatever model code is doing."""
        # Ctrl-C is a person at a terminal: no load balancer has to look away first.
        delay_seconds = 0.0 if number == signal.SIGINT else self._settings.drain_delay_seconds
        deadline = time.monotonic() + self._settings.shutdown_timeout_seconds
        guard = threading.Timer(self._settings.shutdown_timeout_seconds, os._exit, (STOPPED,))
        guard.daemon = True
        guard.start()
        log.info("draining", extra={"delay_seconds": delay_seconds})
        self._app.is_draining = True
        self._reloader.stop_loading()
        # The models' own close() gets what the calls leave of the time, and at least a tenth of it.
        self._server.drain(delay_seconds, 0.9 * self._settings.shutdown_timeout_seconds)
        serving.join()
        self._watcher.stop()
        self._reloader.stop(max(deadline - time.monotonic(), 0))
        self._snapshots.close()
        log.info("stopped")

    def _start_trouble(self, error: Exception) -> str:
        if not isinstance(error, OSError):
            return str(error)
        where = f"{self._settings.host} port {self._settings.port}"
        return f"cannot listen on {where}: {(error.strerror or str(error)).lower()}"


def default_state_dir(models_dir: Path) -> Path:
    """Return a folder of this server's under the user's cache, one for each models folder; or a temporary one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    place = blake2b(os.fsencode(models_dir), digest_size=6).hexdigest()
    folder = cache / "model-serving" / f"{models_dir.name}-{place}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning(
            "last good versions will not outlive this process",
            extra={"error": str(error), "setting": "STATE_DIR"},
        )
        return Path(tempfile.mkdtemp(prefix="model-serving-"))
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
