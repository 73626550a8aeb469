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

log = logging.getLogger(__name__)

#: From here on a body is not copied behind its head; both are given to the kernel as two pieces of one send.
COPIED_BYTES = 65_536
BODILESS = ("1", "204", "304")


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
        on_rejected: Callable[[ServingError, Environ | None], Response],
        drain: Drain,
    ) -> None:
        self._application = application
        self._on_rejected = on_rejected
        self._drain = drain
        self._dates = Dates()

    def respond(self, request: Request) -> list[bytes]:
        """Run the application for *request* and return what is to be sent, in pieces.

        Nothing that the application raises leaves here, `SystemExit` included: it is this request's 500.
        """
        try:
            return self._run(request)
        except BaseException:
            log.exception(
                "request failed outside of its handlers", extra={"path": request.environ["PATH_INFO"]}
            )
            return self._failed(request)

    def refuse(self, error: ServingError, environ: Environ | None, *, has_body: bool = True) -> bytes:
        """Return the whole answer that refuses a request, closing the connection."""
        return self.whole(self._on_rejected(error, environ), has_body=has_body)

    def whole(self, response: Response, *, has_body: bool = True) -> bytes:
        """Return *response* as bytes, closing the connection after it."""
        status, headers, body = response
        head = self.head(status, headers, len(body), keep_alive=False, minor_0=False)
        return head + body if has_body else head

    def head(
        self, status: str, headers: Headers, length: int | None, *, keep_alive: bool, minor_0: bool
    ) -> bytes:
        """Return the head of a response.

        Args:
            status: The status line without the version.
            headers: The application's fields.
            length: Of the body, added unless a field says it; None when it is unknown or there can be none.
            keep_alive: The connection stays open after this response.
            minor_0: The request was HTTP/1.0.

        Raises:
            ValueError: A field would break out of its line.
        """
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        text = f"HTTP/1.1 {status}\r\n{fields}"
        if text.count("\n") != len(headers) + 1 or text.count("\r") != len(headers) + 1 or "\0" in text:
            raise ValueError("A response header holds a control character.")
        lowered = text.lower()
        if length is not None and "\r\ncontent-length:" not in lowered:
            text += f"Content-Length: {length}\r\n"
        if "\r\ndate:" not in lowered:
            text += self._dates.line()
        if not keep_alive:
            text += "Connection: close\r\n\r\n"
        elif minor_0:
            text += "Connection: keep-alive\r\n\r\n"
        else:
            text += "\r\n"
        return text.encode("latin-1")

    def _run(self, request: Request) -> list[bytes]:
        environ = request.environ

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
            if request.status is not None:
                if exc_info is None:
                    raise AssertionError("start_response was called twice without exc_info.")
                if request.stream is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            check_head(status, headers)
            request.status, request.headers = status, headers
            return write

        def write(data: bytes) -> None:
            stream = request.stream
            if stream is None:
                stream = self._stream(request)
            stream.write(data)

        result = self._application(environ, start_response)
        if type(result) is list and request.stream is None:
            return self._assemble(request, result[0] if len(result) == 1 else b"".join(result))
        return self._iterate(request, result, write)

    def _assemble(self, request: Request, body: bytes) -> list[bytes]:
        status, headers = request.status, request.headers
        if status is None:
            raise AssertionError("The application did not call start_response.")
        if self._drain.is_asked:
            request.keep_alive = False
        if headers and closes(headers):
            headers = [field for field in headers if field[0].lower() != "connection"]
            request.keep_alive = False
        environ = request.environ
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        if status.startswith(BODILESS):
            body, length = b"", None
        else:
            length = len(body)
            check_length(headers, length, is_head=is_head)
        head = self.head(
            status,
            headers,
            length,
            keep_alive=request.keep_alive,
            minor_0=environ["SERVER_PROTOCOL"] == "HTTP/1.0",
        )
        if is_head or not body:
            return [head]
        return [head + body] if len(body) < COPIED_BYTES else [head, body]

    def _stream(self, request: Request) -> Stream:
        if request.status is None:
            raise AssertionError("The application wrote before it called start_response.")
        if self._drain.is_asked:
            request.keep_alive = False
        return Stream(request, self.head)

    def _iterate(self, request: Request, result: Any, write: Callable[[bytes], None]) -> list[bytes]:
        """Send each piece of an iterable when it comes, as PEP 3333 wants it."""
        try:
            for piece in result:
                if piece:
                    write(piece)
            if request.stream is None:
                return self._assemble(request, b"")
            request.stream.finish()
            return []
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _failed(self, request: Request) -> list[bytes]:
        request.keep_alive = False
        if request.stream is not None:
            request.stream.abort()
            return []
        error = ServingError("The request failed inside the server; the log says why.")
        return [self.refuse(error, request.environ, has_body=request.environ["REQUEST_METHOD"] != "HEAD")]


def check_head(status: Any, headers: Any) -> None:
    """Refuse what PEP 3333 does not allow an application to pass.

    Raises:
        TypeError: Something is no `str` or no list.
    """
    if type(status) is not str or type(headers) is not list:
        raise TypeError("start_response takes a str and a list.")


def closes(headers: Headers) -> bool:
    """Tell whether the application asks to close the connection, which is the server's to say."""
    return any(name.lower() == "connection" for name, _ in headers)


def check_length(headers: Headers, length: int, *, is_head: bool) -> None:
    """Refuse an answer whose body is not as long as it says: the next answer would be read from the wrong place.

    Raises:
        ValueError: The lengths differ.
    """
    for name, value in headers:
        if name.lower() == "content-length" and int(value) != length and not (is_head and length == 0):
            raise ValueError("The body is not as long as its Content-Length says.")
