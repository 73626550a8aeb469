"""One client's socket: what is unread, what is unsent, and who may touch it."""

from __future__ import annotations

import enum
import socket
import ssl
from collections import deque
from typing import Any

from web.engine.bodies import Body
from web.engine.held import RECEIVE_BYTES, HeldSocket


class State(enum.Enum):
    """What a connection is waiting for, which says who owns it.

    In every state but BUSY the connection belongs to the thread in the lead; BUSY, to whoever answers its request.
    """

    HANDSHAKE = enum.auto()
    READING = enum.auto()
    BUSY = enum.auto()
    WRITING = enum.auto()
    LINGERING = enum.auto()


# Looked up here once: in Python 3.11 each access through the class costs as much as a small function call.
HANDSHAKE, READING, BUSY, WRITING, LINGERING = State


class Connection:
    """A connected client.

    Attributes:
        socket: Non-blocking.
        fd: Its descriptor, also after it was closed.
        state: What it waits for.
        template: The part of the environ that is the same for all its requests.
        unread: Received and not used yet.
        body: The body that is being received after a head, or None.
        environ: What the head before *body* said.
        keep_alive: The client may send another request after the current one.
        expires: When it is given up in its present state, by `time.monotonic()`.
        watched: What epoll reports of it; 0 for nothing at all.
        is_fresh: It has not sent a complete request yet.
        has_begun: A part of the next head has arrived.
        is_broken: Sending failed; nothing can be sent any more.
        closes: It is closed once everything is sent.
        lingers: What the client still sends is read before that, so that it gets to see the answer.
    """

    __slots__ = (
        "_unsent",
        "body",
        "closes",
        "environ",
        "expires",
        "fd",
        "has_begun",
        "is_broken",
        "is_fresh",
        "is_tls",
        "keep_alive",
        "lingers",
        "socket",
        "state",
        "template",
        "unread",
        "watched",
    )

    def __init__(self, sock: socket.socket, template: dict[str, Any], expires: float) -> None:
        self.socket = sock
        self.fd = sock.fileno()
        self.is_tls = isinstance(sock, ssl.SSLSocket)
        self.state = HANDSHAKE if self.is_tls else READING
        self.template = template
        self.unread = b""
        self.body: Body | None = None
        self.environ: dict[str, Any] | None = None
        self.keep_alive = True
        self.expires = expires
        self.watched = 0
        self.is_fresh = True
        self.has_begun = False
        self.is_broken = False
        self.closes = False
        self.lingers = False
        self._unsent: deque[memoryview] = deque()

    @property
    def unsent_bytes(self) -> int:
        """How much the client has not taken yet."""
        return sum(len(piece) for piece in self._unsent)

    @property
    def is_idle(self) -> bool:
        """Nothing of a request has arrived, and the one before is answered."""
        return self.state is READING and not self.unread and self.body is None

    def receive(self, held: HeldSocket | None = None) -> bytes | None:
        """Return what has arrived, empty at the end of the stream, None when there is nothing now.

        Args:
            held: Receives without letting go of the interpreter lock.

        Raises:
            OSError: The connection is broken.
        """
        if held is not None and not self.is_tls:
            data = held.receive(self.fd)
            if data is not None:
                return data
        try:
            # Also with TLS nothing is left that epoll would not know of: a record is smaller than this.
            return self.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLEOFError:
            return b""

    def send(self, data: bytes, held: HeldSocket | None = None) -> bool:
        """Send *data* as far as the client takes it now; True when nothing is left to send.

        Args:
            data: Anything but nothing.
            held: Sends without letting go of the interpreter lock.
        """
        if not self._unsent and held is not None and not self.is_tls:
            sent = held.send(self.fd, data)
            if sent == len(data):
                return True
            data = data[sent:]
        if self._unsent:
            self._unsent.append(memoryview(data))
            return self.flush()
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError:
            return self._break()
        if sent == len(data):
            return True
        self._unsent.append(memoryview(data)[sent:])
        return False

    def flush(self) -> bool:
        """Send more of what is unsent; True when nothing is left to send."""
        unsent = self._unsent
        try:
            while unsent:
                sent = self.socket.send(unsent[0])
                if sent == len(unsent[0]):
                    unsent.popleft()
                else:
                    unsent[0] = unsent[0][sent:]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            return self._break()
        return True

    def abort(self) -> None:
        """Make further sending fail; the client sees the end of the stream. The socket stays open."""
        self._break()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def shut_sending(self) -> None:
        """Tell the client that nothing more comes, while what it sends can still be read."""
        if self.is_tls:
            self._notify_close()
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._break()

    def forgo_tls(self) -> None:
        """Go on in plain text with a client that does not speak TLS, to tell it so."""
        self.socket = socket.socket(fileno=self.socket.detach())
        self.socket.setblocking(False)
        self.is_tls = False

    def close(self) -> None:
        """Close the socket."""
        if self.is_tls and not self.is_broken and self.state is not HANDSHAKE:
            self._notify_close()
        self.socket.close()

    def _notify_close(self) -> None:
        """Send TLS's own end, without which a client cannot tell it from an attack."""
        sock: Any = self.socket
        try:
            sock.unwrap()
        except (OSError, ValueError):
            return

    def _break(self) -> bool:
        self.is_broken = True
        self.closes = True
        self.lingers = False
        self._unsent.clear()
        return True
