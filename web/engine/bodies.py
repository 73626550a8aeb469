"""The body of a request, collected to its end before anything is called with it."""

from __future__ import annotations

import re
from typing import Protocol

from web.problems import BodyTooLarge, RequestMalformed

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
EXTENSIONS = rb"(?:[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + QUOTED + rb"))?)*"
SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})" + EXTENSIONS + rb"\r\n")
TRAILER_LINE = re.compile(TOKEN + rb":[\t -~\x80-\xff]*\r\n")
#: Fields that decide where a message ends or where it goes have no place behind it (RFC 9110, section 6.5.1).
FORBIDDEN_TRAILER = re.compile(rb"(?i:content-length|transfer-encoding|host):")
#: The longest line that announces a chunk, its extensions included.
MAX_LINE_BYTES = 1024
#: What all trailer fields together may take.
MAX_TRAILER_BYTES = 8192


class Body(Protocol):
    """A body that is being received."""

    def feed(self, data: bytes) -> bytes | None:
        """Take *data*; return what follows the body once it is complete, None before."""

    def value(self) -> bytes:
        """Return the complete body."""


class SizedBody:
    """A body whose length was announced."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._received = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        """Take *data*; return what follows the body once it is complete, None before."""
        self._received += data
        if len(self._received) < self._length:
            return None
        rest = bytes(self._received[self._length :])
        del self._received[self._length :]
        return rest

    def value(self) -> bytes:
        """Return the complete body."""
        return bytes(self._received)


class ChunkedBody:
    """A body in chunks (RFC 9112, section 7.1); extensions are ignored and trailer fields dropped, within limits."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._unread = b""
        self._body = bytearray()
        self._missing = 0
        self._in_trailer = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes | None:
        """Take *data*; return what follows the body once it is complete, None before.

        Raises:
            RequestMalformed: The framing is not what RFC 9112 says.
            BodyTooLarge: The decoded body is over the limit.
        """
        data, position = self._unread + data, 0
        while True:
            following = (
                self._read_trailer(data, position) if self._in_trailer else self._read_chunk(data, position)
            )
            if following is None:
                self._unread = data[position:]
                return None
            position = following
            if self._in_trailer and self._missing < 0:
                return data[position:]

    def value(self) -> bytes:
        """Return the complete body."""
        return bytes(self._body)

    def _read_chunk(self, data: bytes, position: int) -> int | None:
        if self._missing:
            return self._read_data(data, position)
        end = data.find(b"\n", position, position + MAX_LINE_BYTES)
        if end < 0:
            refuse_endless(data, position, MAX_LINE_BYTES)
            return None
        line = SIZE_LINE.fullmatch(data, position, end + 1)
        if line is None:
            raise RequestMalformed("A chunk of the body has a malformed size.")
        size = int(line[1], 16)
        if len(self._body) + size > self._max_body_bytes:
            raise BodyTooLarge(f"The body is larger than {self._max_body_bytes} bytes.")
        self._in_trailer = size == 0
        self._missing = size + 2 if size else 0
        return end + 1

    def _read_data(self, data: bytes, position: int) -> int | None:
        """Take what is there of a chunk; the line ending after it counts as its last two bytes."""
        available = len(data) - position
        taken = min(available, self._missing - 2)
        if taken > 0:
            self._body += data[position : position + taken]
            self._missing -= taken
            return position + taken
        if available < 2:
            return None
        if data[position : position + 2] != b"\r\n":
            raise RequestMalformed("A chunk of the body does not end where its size says.")
        self._missing = 0
        return position + 2

    def _read_trailer(self, data: bytes, position: int) -> int | None:
        end = data.find(b"\n", position, position + MAX_TRAILER_BYTES)
        if end < 0:
            refuse_endless(data, position, MAX_TRAILER_BYTES)
            return None
        if data[position : end + 1] == b"\r\n":
            self._missing = -1
            return end + 1
        self._trailer_bytes += end - position
        if self._trailer_bytes > MAX_TRAILER_BYTES or not TRAILER_LINE.fullmatch(data, position, end + 1):
            raise RequestMalformed("The trailer of the body is malformed or too long.")
        if FORBIDDEN_TRAILER.match(data, position):
            raise RequestMalformed("The trailer of the body holds a field that belongs into the head.")
        return end + 1


def refuse_endless(data: bytes, position: int, limit: int) -> None:
    """Refuse a line that is longer than *limit* already; else more of it may come.

    Raises:
        RequestMalformed: The line is too long.
    """
    if len(data) - position >= limit:
        raise RequestMalformed("A line in the body's framing is too long.")
