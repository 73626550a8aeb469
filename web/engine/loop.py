"""What the thread in the lead does: it polls, reads, and serves fast calls in place."""

from __future__ import annotations

import logging
import os
import ssl
import time

from loader.errors import ServingError
from web.engine.acceptor import Acceptor
from web.engine.calls import Calls
from web.engine.connection import BUSY, HANDSHAKE, LINGERING, READING, WRITING, Connection
from web.engine.exchange import IN, OUT, Exchange
from web.engine.intake import Intake
from web.engine.pool import Worker
from web.engine.timers import Timers
from web.engine.tls import Tls
from web.problems import RequestMalformed

log = logging.getLogger("model_serving.engine")

#: Events taken from the kernel at a time.
BATCH = 128


class Loop:
    """The turns of the thread in the lead."""

    def __init__(
        self,
        exchange: Exchange,
        calls: Calls,
        intake: Intake,
        acceptor: Acceptor,
        timers: Timers,
        tls: Tls | None,
    ) -> None:
        self._exchange = exchange
        self._calls = calls
        self._intake = intake
        self._acceptor = acceptor
        self._timers = timers
        self._tls = tls
        self._connections = exchange.connections

    def lead(self, worker: Worker) -> None:
        """Poll and serve until another thread has the lead, or everything is over."""
        calls = self._calls
        while calls.leader is worker:
            try:
                self._turn(worker)
            except Exception:
                log.exception("the loop failed")

    def _turn(self, worker: Worker) -> None:
        due = self._timers.due()
        calls, connections = self._calls, self._connections
        for fd, _ in self._poll(due):
            connection = connections.get(fd)
            if connection is None:
                self._attend_own(fd)
            elif connection.state is READING:
                self._read(worker, connection)
            else:
                self._attend(worker, connection)
            if calls.leader is not worker:
                return
        if self._exchange.posted:
            self._settle_posted(worker)
        if due is not None:
            self._keep_time(worker, due)

    def _settle_posted(self, worker: Worker) -> None:
        posted = self._exchange.posted
        for _ in range(len(posted)):
            if self._calls.leader is not worker:
                return
            self._settle(worker, posted.popleft())

    def _keep_time(self, worker: Worker, due: float) -> None:
        now = time.monotonic()
        if now >= due:
            for connection in self._timers.keep(now):
                if self._calls.leader is not worker:
                    return
                self._dismiss(worker, connection)
        if self._timers.is_over() and self._calls.leader is worker:
            self._calls.leader = None

    def _poll(self, due: float | None) -> list[tuple[int, int]]:
        exchange = self._exchange
        exchange.is_polling = True
        if exchange.posted:
            timeout: float | None = 0
        else:
            timeout = None if due is None else max(0.0, due - time.monotonic())
        events = exchange.epoll.poll(timeout, BATCH)
        exchange.is_polling = False
        return events

    def _read(self, worker: Worker, connection: Connection) -> None:
        try:
            data = connection.receive(self._exchange.held())
        except OSError:
            data = b""
        if data:
            self._advance(worker, connection, data)
        elif data is not None:
            self._exchange.close(connection)

    def _advance(self, worker: Worker, connection: Connection, data: bytes) -> None:
        try:
            request = self._intake.take(connection, data)
        except ServingError as error:
            self._exchange.refuse(connection, error)
            return
        if request is not None:
            connection.state = BUSY
            self._calls.begin(worker, request)

    def _settle(self, worker: Worker, connection: Connection | None) -> None:
        """Watch what *connection* waits for now, and use what it had sent before its answer."""
        if connection is None or self._connections.get(connection.fd) is not connection:
            return
        if connection.state is BUSY:
            return
        self._exchange.watch(connection, OUT if connection.state is WRITING else IN)
        if connection.state is READING and connection.unread:
            self._advance(worker, connection, b"")

    def _dismiss(self, worker: Worker, connection: Connection) -> None:
        """Close a connection that has idled for too long, unless a request has just come."""
        self._read(worker, connection)
        if connection.is_idle:
            self._exchange.close(connection)

    def _attend_own(self, fd: int) -> None:
        if fd == self._exchange.wake_fd:
            os.eventfd_read(fd)
        elif fd == self._acceptor.fd:
            self._acceptor.accept()

    def _attend(self, worker: Worker, connection: Connection) -> None:
        state = connection.state
        if state is BUSY:
            self._look_away(connection)
        elif state is WRITING:
            if connection.flush():
                self._exchange.after_sending(connection, is_sent=True)
        elif state is LINGERING:
            self._discard(connection)
        elif state is HANDSHAKE:
            self._shake_hands(worker, connection)

    def _look_away(self, connection: Connection) -> None:
        """Stop watching a client that sends, or leaves, before it has its answer; level-triggered events repeat."""
        self._exchange.watch(connection, 0)
        if connection.state is not BUSY:  # answered meanwhile, by a thread that believed it watched
            self._exchange.post(connection)

    def _discard(self, connection: Connection) -> None:
        try:
            data = connection.receive()
        except OSError:
            data = b""
        if data is not None and not data:
            self._exchange.close(connection)

    def _shake_hands(self, worker: Worker, connection: Connection) -> None:
        sock = connection.socket
        assert isinstance(sock, ssl.SSLSocket)
        assert self._tls is not None
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            self._exchange.watch(connection, IN)
        except ssl.SSLWantWriteError:
            self._exchange.watch(connection, OUT)
        except OSError as error:
            self._fail_handshake(connection, error)
        else:
            connection.template.update(self._tls.environ(sock))
            connection.state = READING
            self._exchange.watch(connection, IN)
            self._read(worker, connection)

    def _fail_handshake(self, connection: Connection, error: OSError) -> None:
        if getattr(error, "reason", "") == "HTTP_REQUEST":
            connection.forgo_tls()
            self._exchange.refuse(connection, RequestMalformed("This port speaks TLS, not plain HTTP."))
        else:
            self._exchange.close(connection)
