"""Answers whose pieces go out as they come: generators, and the `write()` of PEP 3333."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from web.engine.call import Headers, Request

if TYPE_CHECKING:
    from web.engine.connection import Connection

#: What a slow reader may leave unsent before the thread that produces more waits for it.
BUFFERED_BYTES = 1_048_576


class Stream:
    """The rest of an answer whose head went out with its first piece.

    The thread that runs the application owns the connection meanwhile; a deadline only shuts the socket.
    """

    def __init__(self, request: Request, make_head: Callable[..., bytes]) -> None:
        self._request = request
        self._make_head = make_head
        self._missing = announced_length(request.headers)
        self._is_chunked = False
        self._has_body = has_body(request)

    def begin(self) -> None:
        """Send the head."""
        request = self._request
        headers = [field for field in request.headers if field[0].lower() != "transfer-encoding"]
        if self._missing is None and self._has_body:
            if request.environ["SERVER_PROTOCOL"] == "HTTP/1.0":
                request.keep_alive = False
            else:
                self._is_chunked = True
                headers.append(("Transfer-Encoding", "chunked"))
        self._send(self._make_head(request, headers, None))

    def write(self, data: bytes) -> None:
        """Send *data*; blocks while the client leaves too much unread.

        Raises:
            ValueError: There is more body than the head announced.
            OSError: The client is gone, or too slow.
        """
        if not isinstance(data, bytes):
            raise TypeError("A WSGI application yields bytes.")
        if not data or not self._has_body:
            return
        if self._missing is not None:
            if len(data) > self._missing:
                raise ValueError("The body is longer than its Content-Length says.")
            self._missing -= len(data)
        self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def finish(self) -> None:
        """End the body.

        Raises:
            ValueError: There is less body than the head announced.
        """
        if self._missing and self._has_body:
            raise ValueError("The body is shorter than its Content-Length says.")
        if self._is_chunked:
            self._send(b"0\r\n\r\n")

    def abort(self) -> None:
        """Make the client see that the answer is incomplete."""
        self._request.connection.abort()

    def _send(self, data: bytes) -> None:
        connection = self._request.connection
        connection.send(data)
        if connection.unsent_bytes > BUFFERED_BYTES:
            wait_for_reader(connection, self._request.deadline)
        if connection.is_broken:
            raise ConnectionResetError("The client is gone.")


def announced_length(headers: Headers) -> int | None:
    """Return the Content-Length among *headers*, or None."""
    for name, value in headers:
        if name.lower() == "content-length":
            return int(value)
    return None


def has_body(request: Request) -> bool:
    """Tell whether the answer to *request* may have a body."""
    status = request.status or ""
    return request.environ["REQUEST_METHOD"] != "HEAD" and not status.startswith(("1", "204", "304"))


def wait_for_reader(connection: Connection, deadline: float) -> None:
    """Block until the client has taken what it was sent, or *deadline* passes.

    Raises:
        TimeoutError: It did not take it in time.
    """
    poller = select.poll()
    poller.register(connection.fd, select.POLLOUT)
    while connection.unsent_bytes and not connection.is_broken:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The client reads too slowly.")
        poller.poll(left * 1000)
        connection.flush()
