"""From received bytes to a complete request; nothing is called before the last byte of its body is there."""

from __future__ import annotations

import io
import time

from web.engine.bodies import ChunkedBody, SizedBody
from web.engine.call import CALL, Environ, Owner, Request
from web.engine.connection import Connection
from web.engine.heads import HeadReader
from web.engine.limits import Limits
from web.engine.rules import CHUNKED, check_beginning, too_large
from web.problems import BodyTooLarge

HEAD_END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Intake:
    """Reads requests off connections; only the leader uses it."""

    def __init__(self, limits: Limits, owner: Owner) -> None:
        self._limits = limits
        self._owner = owner
        self._heads = HeadReader(limits.max_header_count)
        self._max_body_bytes = limits.max_body_bytes
        self._max_header_bytes = limits.max_header_bytes
        self._request_timeout_seconds = limits.request_timeout_seconds

    def take(self, connection: Connection, data: bytes) -> Request | None:
        """Add *data* to what *connection* has sent; return the request once it is complete.

        Bytes behind the request stay in `connection.unread`.

        Raises:
            ServingError: The request is refused; `connection.environ` tells whether its head was understood.
        """
        if connection.body is not None:
            return self._take_body(connection, data)
        if connection.unread:
            data = connection.unread + data
            connection.unread = b""
        # One empty line before a request line is to be ignored (RFC 9112, section 2.2).
        begin = 2 if data[:2] == b"\r\n" else 0
        end = data.find(HEAD_END, begin) + 4
        if end < 4:
            self._keep_beginning(connection, data, begin)
            return None
        if end > self._max_header_bytes:
            raise too_large(data, self._max_header_bytes)
        fields, length, connection.keep_alive, expects_continue = self._heads.read(data[begin:end])
        environ = connection.template | fields
        if length == 0:
            connection.unread = data[end:]
            return self._complete(connection, environ, b"")
        if length == len(data) - end and length <= self._max_body_bytes:
            return self._complete(connection, environ, data[end:])
        connection.environ = environ
        return self._begin_body(connection, length, data[end:], expects_continue=expects_continue)

    def _keep_beginning(self, connection: Connection, data: bytes, begin: int) -> None:
        check_beginning(data[begin:], self._max_header_bytes)
        connection.unread = data
        if not connection.has_begun:
            connection.has_begun = True
            if not connection.is_fresh:
                connection.expires = time.monotonic() + self._limits.header_timeout_seconds

    def _begin_body(
        self, connection: Connection, length: int, data: bytes, *, expects_continue: bool
    ) -> Request | None:
        limit = self._max_body_bytes
        if length > limit:
            raise BodyTooLarge(f"The body is larger than {limit} bytes.")
        connection.body = ChunkedBody(limit) if length == CHUNKED else SizedBody(length)
        connection.expires = time.monotonic() + self._limits.body_timeout_seconds
        request = self._take_body(connection, data)
        if request is None and expects_continue and not data:
            connection.send(CONTINUE)
        return request

    def _take_body(self, connection: Connection, data: bytes) -> Request | None:
        body, environ = connection.body, connection.environ
        assert body is not None
        assert environ is not None
        rest = body.feed(data)
        if rest is None:
            return None
        connection.unread, connection.environ, connection.body = rest, None, None
        value = body.value()
        environ["CONTENT_LENGTH"] = str(len(value))
        return self._complete(connection, environ, value)

    def _complete(self, connection: Connection, environ: Environ, body: bytes) -> Request:
        connection.is_fresh = connection.has_begun = False
        now = time.monotonic()
        request = Request(environ, connection, now, now + self._request_timeout_seconds, self._owner)
        environ["wsgi.input"] = io.BytesIO(body)
        environ[CALL] = request
        return request
