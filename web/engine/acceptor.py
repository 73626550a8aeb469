"""The listening socket: takes connections up to the limit, and pauses where none can be taken."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import select
import socket
import struct
import time
from typing import Any

from web.engine.call import Environ
from web.engine.connection import Connection
from web.engine.exchange import Exchange
from web.engine.limits import Limits
from web.engine.tls import Tls

log = logging.getLogger("model_serving.engine")

#: Connections taken at a time, so that those which are open get their turn.
BATCH = 64
#: How long to wait when the process or the machine has no descriptor left.
PAUSE_SECONDS = 0.2
#: What `setsockopt` calls the filter, which the socket module does not name.
SO_ATTACH_FILTER = 26
#: A classic BPF program: drop what asks for a new connection (SYN without ACK), let everything else pass.
DROP_NEW = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Takes new connections; only the leader uses it.

    Attributes:
        fd: Of the listening socket, -1 once it is closed.
        resumes: When to try again after a pause, by `time.monotonic()`; None when not paused.
    """

    def __init__(
        self, listener: socket.socket, exchange: Exchange, limits: Limits, template: Environ, tls: Tls | None
    ) -> None:
        """Begin to take connections.

        Args:
            listener: Bound and listening.
            exchange: Where they go.
            limits: How many there may be, and what each may take.
            template: What the environ of every request begins with.
            tls: Wraps each of them; None for plain HTTP.
        """
        self._listener = listener
        self._exchange = exchange
        self._header_timeout_seconds = limits.header_timeout_seconds
        self._max_connections = limits.connections
        self._template = template
        self._tls = tls
        self.fd = listener.fileno()
        self.resumes: float | None = None
        listener.setblocking(False)
        exchange.epoll.register(self.fd, select.EPOLLIN)

    def has_room(self) -> bool:
        """Tell whether one more connection may be open."""
        return len(self._exchange.connections) < self._max_connections

    def accept(self, batch: int = BATCH) -> int:
        """Take up to *batch* connections; return how many there were."""
        for taken in range(batch):
            if not self.has_room():
                self.pause()
                return taken
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return taken
            except OSError as error:
                if error.errno in EXHAUSTED:
                    log.warning("connections wait: out of descriptors", extra={"error": str(error)})
                    self.pause()
                    return taken
                continue  # that client is gone already
            self._open(sock, address)
        return batch

    def pause(self) -> None:
        """Leave new connections in the backlog for a while; polling must not spin over them."""
        if self.resumes is None and self.fd >= 0:
            self._exchange.epoll.unregister(self.fd)
        self.resumes = time.monotonic() + PAUSE_SECONDS

    def resume(self) -> None:
        """Take connections again."""
        if self.resumes is not None and self.fd >= 0:
            self._exchange.epoll.register(self.fd, select.EPOLLIN)
        self.resumes = None

    def turn_away(self) -> None:
        """Let no new connection begin, while those that have begun can be taken.

        Closing alone would reset a client whose handshake ends between the last accept and the close. A client that
        is turned away tries again within a second, and is refused, or finds the next server.
        """
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in DROP_NEW)
        code = ctypes.create_string_buffer(program, len(program))
        filters = struct.pack("HP", len(DROP_NEW), ctypes.addressof(code))
        with contextlib.suppress(OSError):  # a kernel without filters; the gap is some microseconds
            self._listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filters)

    def close(self) -> None:
        """Take what is in the backlog, then stop listening: no connection that the kernel accepted is reset."""
        if self.fd < 0:
            return
        while self.accept() == BATCH:
            pass
        self.fd, self.resumes = -1, None
        self._listener.close()

    def _open(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        template = self._template | {"REMOTE_ADDR": address[0], "REMOTE_PORT": str(address[1])}
        expires = time.monotonic() + self._header_timeout_seconds
        try:
            sock.setblocking(False)
            if self._tls is not None:
                sock = self._tls.wrap(sock)
            self._exchange.add(Connection(sock, template, expires))
        except OSError:  # reset before it was ours
            sock.close()
