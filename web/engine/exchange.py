"""The open connections: how an answer leaves, and what becomes of its connection then."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque

from loader.errors import ServingError
from web.engine.call import Request
from web.engine.connection import LINGERING, READING, WRITING, Connection
from web.engine.draining import Drain
from web.engine.held import HeldSocket
from web.engine.limits import Limits
from web.engine.pool import Pool
from web.engine.replies import Responder

#: How long a client may still send after the last answer, so that it gets to read that.
LINGER_SECONDS = 1.0
IN, OUT = select.EPOLLIN, select.EPOLLOUT


class Exchange:
    """Connections by descriptor, and the epoll that watches them.

    A connection is touched by its owner only (see `State`); `deliver` gives it back to the leader.

    Attributes:
        connections: The open ones.
        posted: Those that the leader has to look at although nothing has arrived.
        is_polling: The leader is, or is about to be, waiting for the kernel.
    """

    def __init__(self, limits: Limits, responder: Responder, drain: Drain, pool: Pool) -> None:
        self._limits = limits
        self._responder = responder
        self._drain = drain
        self._pool = pool
        self._held = HeldSocket()
        self.epoll = select.epoll()
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.epoll.register(self.wake_fd, IN)
        self.connections: dict[int, Connection] = {}
        self.posted: deque[Connection | None] = deque()
        self.is_polling = False

    def add(self, connection: Connection) -> None:
        """Begin to watch a new *connection*."""
        self.connections[connection.fd] = connection
        self.watch(connection, IN)

    def wake(self) -> None:
        """Make the leader look at its timers and posts; any thread, and a signal handler, may call this."""
        with contextlib.suppress(OSError, ValueError):  # the server has ended
            os.eventfd_write(self.wake_fd, 1)

    def post(self, connection: Connection | None) -> None:
        """Make the leader look at *connection*; any thread."""
        self.posted.append(connection)
        if self.is_polling:
            self.wake()

    def deliver(self, request: Request, data: bytes) -> None:
        """Send *data*, the rest of the answer to *request*, and let its connection go on; any thread."""
        connection = request.connection
        is_sent = connection.send(data, self.held()) if data else connection.flush()
        if is_sent and request.keep_alive and not connection.closes:
            connection.expires = time.monotonic() + self._keep_alive_seconds()
            has_more = bool(connection.unread)
            connection.state = READING  # from here on it is the leader's again
            if has_more or not connection.watched:
                self.post(connection)
            return
        if not request.keep_alive and not connection.closes:
            connection.closes = True
            connection.lingers = connection.keep_alive or bool(connection.unread)
        self.after_sending(connection, is_sent=is_sent)

    def refuse(self, connection: Connection, error: ServingError) -> None:
        """Answer a request that is none, and close; only the leader calls this."""
        answer = self._responder.refuse(error, connection.environ)
        connection.unread, connection.body, connection.environ = b"", None, None
        connection.closes = connection.lingers = True
        self.after_sending(connection, is_sent=connection.send(answer))

    def after_sending(self, connection: Connection, *, is_sent: bool) -> None:
        """Go on with a connection whose answer was sent, or could not be sent whole."""
        now = time.monotonic()
        if is_sent and connection.closes and not connection.lingers:
            self.close(connection)
            return
        if not is_sent:
            connection.expires = now + self._limits.write_timeout_seconds
            connection.state = WRITING
        elif connection.closes:
            connection.shut_sending()
            connection.expires = now + LINGER_SECONDS
            connection.state = LINGERING
        else:
            connection.expires = now + self._keep_alive_seconds()
            connection.state = READING
        self.post(connection)

    def held(self) -> HeldSocket | None:
        """Return what keeps the interpreter lock over a system call, while other threads would take it."""
        return self._held if self._pool.busy or self._pool.stuck else None

    def watch(self, connection: Connection, events: int) -> None:
        """Let epoll report *events* of *connection*, 0 for nothing; only the leader calls this."""
        if connection.watched == events:
            return
        if not events:
            with contextlib.suppress(OSError):  # the thread that answers it has just closed it
                self.epoll.unregister(connection.fd)
        elif connection.watched:
            self.epoll.modify(connection.fd, events)
        else:
            self.epoll.register(connection.fd, events)
        connection.watched = events

    def close(self, connection: Connection) -> None:
        """Close *connection*, which the caller owns."""
        # First out of the table: a descriptor that is closed may belong to a new connection at once.
        if self.connections.pop(connection.fd, None) is not None:
            connection.close()
            if self._drain.is_asked:  # the leader may be waiting for the last one
                self.post(None)

    def _keep_alive_seconds(self) -> float:
        """Nothing is waited for once the listening socket is closed: this answer was made before the end began."""
        return self._limits.keep_alive_seconds if self._drain.listener_closed is None else 0.0

    def close_all(self) -> None:
        """Drop what is left, at the very end."""
        for connection in list(self.connections.values()):
            self.close(connection)
        self.epoll.close()
        # Not to be woken any more: another file may get the number.
        closed, self.wake_fd = self.wake_fd, -1
        os.close(closed)
