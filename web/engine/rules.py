"""What HTTP/1.1 asks of a request beyond the syntax of its fields: version, target, host, framing."""

from __future__ import annotations

import re
from typing import Any

from loader.errors import ServingError
from web.problems import (
    ExpectationFailed,
    HeadersTooLarge,
    NotImplementedHere,
    RequestMalformed,
    TargetTooLong,
    VersionNotSupported,
)

Environ = dict[str, Any]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!$-;=?-\[\]_a-z~]+) HTTP/1\.([01])\r\n")
LATER_MINOR = re.compile(rb"(" + TOKEN + rb" [!-~]+ HTTP/1\.)[2-9](?=\r\n)")
OTHER_VERSION = re.compile(TOKEN + rb" [!-~]+ HTTP/[0-9]\.[0-9]\r\n")
BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]+)(.*)", re.DOTALL)
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]*)?")

#: Length of a body that comes in chunks.
CHUNKED = -1


def check_host(host: str | None, *, is_minor_0: bool) -> None:
    """Refuse a request whose host cannot be told (RFC 9112, section 3.2).

    Raises:
        RequestMalformed: The field is malformed, or missing in HTTP/1.1.
    """
    if host is None:
        if not is_minor_0:
            raise RequestMalformed("An HTTP/1.1 request needs a Host field.")
    elif not HOST.fullmatch(host):
        raise RequestMalformed("The Host field is malformed.")


def accepted_minor(head: bytes) -> bytes:
    """Return *head* as HTTP/1.1 if its version is a later minor one (RFC 9110, section 2.5); refuse any other.

    Raises:
        VersionNotSupported: Another major version.
        RequestMalformed: No request line at all.
    """
    later, replaced = LATER_MINOR.subn(rb"\g<1>1", head, count=1)
    if replaced and LATER_MINOR.match(head) and REQUEST_LINE.match(later):
        return later
    if OTHER_VERSION.match(head) and not re.match(rb"[^ ]+ [^ ]+ HTTP/1", head):
        raise VersionNotSupported("This server speaks HTTP/1.1.")
    raise RequestMalformed("The request line is malformed.")


def resolve_target(method: bytes, target: bytes, environ: Environ) -> bytes:
    """Return the path and query that *target* means; an absolute target replaces the Host field.

    Raises:
        RequestMalformed: The target is in no form that RFC 9112, section 3.2 knows for *method*.
        NotImplementedHere: CONNECT.
    """
    if BAD_ESCAPE.search(target):
        raise RequestMalformed("The request target has a malformed percent escape.")
    if method == b"CONNECT":
        raise NotImplementedHere("This server is no proxy.")
    if target[:1] == b"/" or (target == b"*" and method == b"OPTIONS"):
        return target
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise RequestMalformed("The request target is malformed.")
    authority, rest = absolute.groups()
    host = authority.decode("ascii")
    if not HOST.fullmatch(host):
        raise RequestMalformed("The request target's authority is malformed.")
    environ["HTTP_HOST"] = host
    return rest if rest[:1] == b"/" else b"/" + rest


def body_length(environ: Environ) -> int:
    """Return the length of the body that *environ* announces, CHUNKED, or 0.

    `HTTP_TRANSFER_ENCODING` is taken out: the application gets the decoded body, and would decode it again.

    Raises:
        ServingError: A transfer coding that is not understood.
    """
    coding = environ.pop("HTTP_TRANSFER_ENCODING", None)
    if coding is None:
        length = int(environ.get("CONTENT_LENGTH", 0))  # llhttp has made sure that these are digits
        if "CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = str(length)
        return length
    if environ["SERVER_PROTOCOL"] == "HTTP/1.0" or "CONTENT_LENGTH" in environ:
        raise RequestMalformed("The body's length is ambiguous.")
    if coding.lower() == "chunked":
        return CHUNKED
    raise NotImplementedHere("This server knows no transfer coding but chunked.")


def keeps_alive(environ: Environ, *, is_minor_0: bool) -> bool:
    """Tell whether the client wants to send another request on this connection (RFC 9112, section 9.3)."""
    connection = environ.get("HTTP_CONNECTION")
    if connection is None:
        return not is_minor_0
    options = [option.strip() for option in connection.lower().split(",")]
    if "close" in options:
        return False
    return not is_minor_0 or "keep-alive" in options


def expects_continue(environ: Environ, *, is_minor_0: bool) -> bool:
    """Tell whether the client waits for `100 Continue`.

    Raises:
        ExpectationFailed: It expects something else.
    """
    expectation = environ.get("HTTP_EXPECT")
    if expectation is None or is_minor_0:
        return False
    if expectation.lower() != "100-continue":
        raise ExpectationFailed("This server knows no expectation but 100-continue.")
    return True


def check_beginning(data: bytes, max_header_bytes: int) -> None:
    """Refuse a head that is not complete yet as soon as it can be known never to be one.

    Raises:
        ServingError: It is too long, or its first line or a line ending is malformed.
    """
    end = data.find(b"\n")
    if len(data) > max_header_bytes:
        raise too_large(data, max_header_bytes)
    if data.startswith(b"\x16\x03"):
        raise RequestMalformed("This port speaks HTTP, not TLS.")
    if end >= 0 and not REQUEST_LINE.match(data):
        accepted_minor(data)
    if data.count(b"\n") != data.count(b"\r\n") or data.count(b"\r", 0, -1) > data.count(b"\r\n"):
        raise RequestMalformed("A line ends with something else than CR LF.")


def too_large(data: bytes, max_header_bytes: int) -> ServingError:
    """Return the refusal of a head that is over the limit: 414 when the request line alone is."""
    if b"\r\n" not in data[:max_header_bytes]:
        return TargetTooLong(f"The request line is longer than {max_header_bytes} bytes.")
    return HeadersTooLarge(f"The request's head is larger than {max_header_bytes} bytes.")
