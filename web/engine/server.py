"""cheroot's WSGI server with its connection handling replaced.

cheroot binds, and keeps its life cycle (`prepare`, `serve`, `stop`), its TLS adapters and its settings; this module
puts the parts of the engine where cheroot has its connection manager and its thread pool.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from cheroot import wsgi

from loader.errors import ServingError
from web.engine.acceptor import Acceptor
from web.engine.call import CALL, Application, Environ, Lane, Response
from web.engine.calls import Calls
from web.engine.clock import Clock
from web.engine.draining import Drain
from web.engine.exchange import Exchange
from web.engine.intake import Intake
from web.engine.limits import Limits
from web.engine.loop import Loop
from web.engine.pool import Pool, Worker
from web.engine.replies import Responder
from web.engine.timers import Timers
from web.engine.tls import Tls

log = logging.getLogger("model_serving.engine")

#: Connections that the kernel keeps until they are accepted.
BACKLOG = 2048
#: The task that makes a thread the leader.
LEAD = object()
#: How long a model that computes may keep the interpreter lock when the polling thread wants it. Python's 5 ms cost the
#: callers of a fast model beside it most of their requests; a shorter interval costs the computing one about a percent.
SWITCH_SECONDS = 0.0005
#: How long the threads that have nothing to do may take to end.
JOIN_SECONDS = 1.0


class Bypassed:
    """Stands where cheroot has its worker threads and its selector; neither is ever used."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self, timeout: float | None = None) -> None:
        """Stop nothing."""

    def close(self) -> None:
        """Close nothing."""


class Engine(wsgi.Server):
    """A WSGI server whose threads take turns at polling.

    Attributes:
        exchange: The open connections.
        pool: The threads.
    """

    def __init__(
        self,
        bind_addr: tuple[str, int],
        application: Application,
        *,
        limits: Limits,
        lane_for: Callable[[Environ], Lane | None],
        on_deadline: Callable[[Environ, bool], Response],
        on_rejected: Callable[[ServingError, Environ | None], Response],
    ) -> None:
        super().__init__(bind_addr, application, request_queue_size=BACKLOG)
        self.requests = Bypassed()
        self._limits = limits
        self._drain = Drain()
        self._finished = threading.Event()
        responder = Responder(application, on_deadline, on_rejected, self._drain)
        self.pool = Pool(limits.threads, self._work)
        self.exchange = Exchange(limits, responder, self._drain, self.pool)
        self._clock = Clock(self.pool, LEAD)
        self._calls = Calls(self.pool, responder, lane_for, self.exchange.deliver, self._clock.wake)
        self._loop: Loop
        self._connections: Any

    def prepare(self) -> None:
        """Bind and listen; nothing is accepted yet.

        Raises:
            OSError: The address cannot be bound.
        """
        super().prepare()
        self._connections.close()
        self._connections = Bypassed()
        tls = Tls(self.ssl_adapter) if self.ssl_adapter is not None else None
        acceptor = Acceptor(self.socket, self.exchange, self._limits, self._template(), tls)
        timers = Timers(self._limits, self.exchange, self._calls, acceptor, self._drain)
        intake = Intake(self._limits, self._calls)
        self._loop = Loop(self.exchange, self._calls, intake, acceptor, timers, tls)

    def serve(self) -> None:
        """Serve until drained; the calling thread only waits, so that it can take signals."""
        leader = self.pool.standby()
        if leader is None:
            raise RuntimeError("No thread can be started.")
        switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            self._clock.start(self._calls)
            self._calls.leader = leader
            leader.assign(LEAD)
            self._finished.wait()
        finally:
            sys.setswitchinterval(switch_interval)
            self._tear_down()

    def drain(self, delay_seconds: float, deadline_seconds: float) -> None:
        """Begin to end; safe to call from any thread and from a signal handler, and more than once."""
        self._drain.ask(delay_seconds, deadline_seconds)
        self.exchange.wake()

    def stop(self) -> None:
        """End at once, but let the calls finish that are running."""
        if self.ready:
            self.drain(0.0, self.shutdown_timeout)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what cheroot has to say."""
        log.log(level, "cheroot: %s", msg, exc_info=traceback)

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind; cheroot leaks the socket when that fails."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def _template(self) -> Environ:
        host, port = self.bind_addr[:2]
        return {
            "REQUEST_METHOD": "",
            "SCRIPT_NAME": "",
            "PATH_INFO": "",
            "QUERY_STRING": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "model-serving",
            "REMOTE_ADDR": "",
            "REMOTE_PORT": "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": None,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            CALL: None,
        }

    def _work(self, worker: Worker) -> None:
        """Live as one of the threads: lead, or run calls, or wait for either."""
        while True:
            worker.gate.acquire()
            if worker.task is None:
                return
            try:
                self._do(worker)
            except BaseException:  # the outermost frame of a thread
                log.exception("a serving thread failed")
                self.pool.recover(worker)
            if not self.pool.rest(worker):
                return

    def _do(self, worker: Worker) -> None:
        # No local name of a frame that waits may hold a request: it holds the version that it ran on.
        if worker.task is not LEAD:
            self._calls.work(worker, worker.task)
            return
        self._loop.lead(worker)
        if self._calls.leader is None:
            self._finished.set()

    def _tear_down(self) -> None:
        self.ready = False
        self._clock.stop()
        self._calls.leader = None
        ends = time.monotonic() + JOIN_SECONDS
        for thread in self.pool.stop():
            thread.join(max(0.0, ends - time.monotonic()))
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.exchange.close_all()
