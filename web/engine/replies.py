"""What a WSGI application answers becomes the bytes of an HTTP response (PEP 3333, RFC 9112)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from loader.errors import ServingError
from web.engine.call import Application, Environ, Headers, Request, Response
from web.engine.draining import Drain
from web.engine.streaming import Stream

log = logging.getLogger("model_serving.engine")

#: Statuses whose answers have no body and need no length.
BODILESS = ("1", "204", "304")
#: The fields that the server has a say in; OTHER is falsy.
OTHER, LENGTH, CONNECTION, DATE = range(4)
KNOWN = {"content-length": LENGTH, "connection": CONNECTION, "date": DATE}
#: How many spellings of field names are remembered.
REMEMBERED = 512


class Kinds(dict[str, int]):
    """Which of the fields that the server has a say in a name means; remembers spellings, up to a bound."""

    def __missing__(self, name: str) -> int:
        kind = KNOWN.get(name.lower(), OTHER)
        if len(self) < REMEMBERED:
            self[name] = kind
        return kind


class Dates:
    """The Date field, formatted once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        """Return the field with its line ending."""
        now = int(time.time())
        if now != self._second:
            self._line = f"Date: {formatdate(now, usegmt=True)}\r\n"
            self._second = now
        return self._line


class Responder:
    """Calls the application, and turns all that can come of it into bytes."""

    def __init__(
        self,
        application: Application,
        on_deadline: Callable[[Environ, bool], Response],
        on_rejected: Callable[[ServingError, Environ | None], Response],
        drain: Drain,
    ) -> None:
        self._application = application
        self._on_deadline = on_deadline
        self._on_rejected = on_rejected
        self._drain = drain
        self._dates = Dates()
        self._kinds = Kinds()

    def respond(self, request: Request) -> bytes:
        """Run the application for *request* and return what is still to be sent.

        Nothing that the application raises leaves here, `SystemExit` included: it is this request's 500.
        """
        try:
            result = self._application(request.environ, request.start_response)
            if type(result) is list and request.stream is None:
                return self._assemble(request, result[0] if len(result) == 1 else b"".join(result))
            return self._iterate(request, result)
        except BaseException:  # the outermost frame of a request
            path = request.environ["PATH_INFO"]
            log.exception("request failed outside of its handlers", extra={"path": path})
            return self._failed(request)

    def refuse(self, error: ServingError, environ: Environ | None) -> bytes:
        """Return the whole answer that refuses a request, closing the connection."""
        return self._whole(environ, self._on_rejected, error, environ)

    def expire(self, environ: Environ, *, is_running: bool) -> bytes:
        """Return the whole answer to a request whose deadline has passed, closing the connection."""
        return self._whole(environ, self._on_deadline, environ, is_running)

    def _whole(self, environ: Environ | None, render: Callable[..., Response], *arguments: object) -> bytes:
        try:
            status, headers, body = render(*arguments)
            text, _ = self._lines(status, headers, len(body), may_differ=False)
        except BaseException:  # the connection would never be closed
            log.exception("an error could not be rendered")
            body = b""
            text, _ = self._lines("500 Internal Server Error", [], 0, may_differ=False)
        head = f"{text}Connection: close\r\n\r\n".encode("latin-1", "replace")
        return head if environ is not None and environ["REQUEST_METHOD"] == "HEAD" else head + body

    def stream(self, request: Request) -> Stream:
        """Return what sends the answer to *request* piece by piece.

        Raises:
            AssertionError: The application has not called `start_response`.
        """
        if request.status is None:
            raise AssertionError("The application wrote before it called start_response.")
        return Stream(request, self._head)

    def _assemble(self, request: Request, body: bytes) -> bytes:
        """Return the whole answer of an application that has made its whole body."""
        status = request.status
        if status is None:
            raise AssertionError("The application did not call start_response.")
        is_head = request.environ["REQUEST_METHOD"] == "HEAD"
        if status.startswith(BODILESS):
            return self._head(request, request.headers, None)
        length = len(body)
        head = self._head(request, request.headers, length, may_differ=is_head and not length)
        return head if is_head else head + body

    def _head(
        self, request: Request, headers: Headers, length: int | None, *, may_differ: bool = False
    ) -> bytes:
        """Return the head of the answer to *request*, and settle whether the connection stays open after it."""
        text, closes = self._lines(request.status or "", headers, length, may_differ=may_differ)
        if closes or self._drain.is_asked:
            request.keep_alive = False
        if not request.keep_alive:
            text += "Connection: close\r\n\r\n"
        elif request.environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            text += "Connection: keep-alive\r\n\r\n"
        else:
            text += "\r\n"
        return text.encode("latin-1")

    def _lines(
        self, status: str, headers: Headers, length: int | None, *, may_differ: bool
    ) -> tuple[str, bool]:
        """Return the status line and the fields, and whether the application asks to close the connection.

        Args:
            status: The status line without the version.
            headers: The application's fields; what they say of the connection is the server's to say.
            length: Of the body, said unless a field says it; None when it is unknown or there can be none.
            may_differ: A field may say another length.

        Raises:
            ValueError: A field would break out of its line, or says another length: the next answer on the connection
                would be read from the wrong place.
        """
        kinds, text, lines, closes, is_dated = (
            self._kinds,
            f"HTTP/1.1 {status}\r\n",
            len(headers) + 1,
            False,
            False,
        )
        for name, value in headers:
            if kind := kinds[name]:
                if kind == LENGTH:
                    if length is not None and int(value) != length and not may_differ:
                        raise ValueError("The body is not as long as its Content-Length says.")
                    length = None
                elif kind == DATE:
                    is_dated = True
                else:
                    closes = True
                    lines -= 1
                    continue
            text += f"{name}: {value}\r\n"
        if text.count("\n") != lines or text.count("\r") != lines or "\0" in text:
            raise ValueError("A response header holds a control character.")
        if length is not None:
            text += f"Content-Length: {length}\r\n"
        return text if is_dated else text + self._dates.line(), closes

    def _iterate(self, request: Request, result: Any) -> bytes:
        """Send each piece of an iterable when it comes, as PEP 3333 wants it."""
        try:
            for piece in result:
                if piece:
                    request.write(piece)
            if request.stream is None:
                return self._assemble(request, b"")
            request.stream.finish()
            return b""
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _failed(self, request: Request) -> bytes:
        request.keep_alive = False
        if request.stream is not None:
            request.stream.abort()
            return b""
        error = ServingError("The request failed inside the server; the log says why.")
        return self.refuse(error, request.environ)
