"""The head of a request becomes a WSGI environ, or is refused.

llhttp splits and checks the fields; what it lets through and RFC 9112 does not stands here. Only whole heads are
parsed, each by a fresh parser, so that bytes after a head can never change what it means.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from web.engine.rules import (
    REQUEST_LINE,
    Environ,
    accepted_minor,
    body_length,
    check_host,
    expects_continue,
    keeps_alive,
    resolve_target,
)
from web.problems import HeadersTooLarge, NotImplementedHere, RequestMalformed

#: Fields of which a second one is refused; any other repeated field is one list (RFC 9110, section 5.3).
SINGLE = frozenset(
    {
        "HTTP_HOST",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTP_TRANSFER_ENCODING",
        "HTTP_EXPECT",
        "HTTP_AUTHORIZATION",
    }
)
#: Under this key lie fields with an underscore in their name until they are dropped.
UNDERSCORED = ""
#: How many names, and how many heads of what size, are remembered.
REMEMBERED = 512
REMEMBERED_BYTES = 2048
SLASH = ord("/")


#: A checked head: what it adds to the environ, the length of the body or CHUNKED, whether the client may send another
#: request, and whether it waits for `100 Continue` before it sends the body.
Head = tuple[Environ, int, bool, bool]


class Keys(dict[bytes, str]):
    """The environ key of each field name; remembers those it has seen, up to a bound."""

    def __missing__(self, name: bytes) -> str:
        if b"_" in name:
            key = UNDERSCORED
        else:
            key = name.decode("ascii").upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = "HTTP_" + key
        if len(self) < REMEMBERED and len(name) < 64:
            self[name] = key
        return key


class HeadReader:
    """Reads heads, one at a time; only the thread in the lead may use it.

    Clients on kept connections mostly send the same head again, byte for byte. Such heads are remembered with what they
    mean, which makes reading one six times cheaper. A head is remembered when it comes for the second time, so that
    those which are never the same, because of a request id, do not push out the others.
    """

    def __init__(self, max_header_count: int) -> None:
        self._max_header_count = max_header_count
        self._fields: dict[bytes, bytes] = {}
        # The parser calls this for each field: a C function, so that no Python runs while llhttp works.
        self.on_header = self._fields.__setitem__
        self._keys = Keys()
        self._remembered: dict[bytes, Head] = {}
        self._seen_once: set[int] = set()

    def read(self, head: bytes) -> Head:
        """Check *head*, which ends with its empty line, and return what it means.

        The environ is shared with other requests and must not be changed.

        Raises:
            ServingError: The head is refused; the connection cannot be used any further.
        """
        known = self._remembered.get(head)
        if known is None:
            known = self._parse(head)
            if len(head) <= REMEMBERED_BYTES:
                self._remember(head, known)
        return known

    def _remember(self, head: bytes, meaning: Head) -> None:
        key = hash(head)
        if key not in self._seen_once:
            if len(self._seen_once) >= REMEMBERED:
                self._seen_once.clear()
            self._seen_once.add(key)
            return
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[head] = meaning

    def _parse(self, head: bytes) -> Head:
        line = REQUEST_LINE.match(head)
        if line is None:
            return self._parse(accepted_minor(head))
        environ = self._fields_of(head)
        method, target, minor = line.groups()
        is_minor_0 = minor == b"0"
        check_host(environ.get("HTTP_HOST"), is_minor_0=is_minor_0)
        if target[0] != SLASH or b"%" in target:
            target = resolve_target(method, target, environ)
        path, _, query = target.partition(b"?")
        environ["REQUEST_METHOD"] = method.decode("ascii")
        environ["PATH_INFO"] = (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1")
        environ["QUERY_STRING"] = query.decode("latin-1")
        environ["SERVER_PROTOCOL"] = "HTTP/1.0" if is_minor_0 else "HTTP/1.1"
        return (
            environ,
            body_length(environ),
            keeps_alive(environ, is_minor_0=is_minor_0),
            expects_continue(environ, is_minor_0=is_minor_0),
        )

    def _fields_of(self, head: bytes) -> Environ:
        fields = self._fields
        fields.clear()
        try:
            HttpRequestParser(self).feed_data(head)
        except HttpParserUpgrade:
            pass  # an upgrade may be ignored (RFC 9110, section 7.8); the head is complete
        except HttpParserInvalidMethodError as error:
            raise NotImplementedHere("This server does not know the request's method.") from error
        except HttpParserError as error:
            raise RequestMalformed(f"The request's head is malformed: {error}.") from error
        count = head.count(b"\r\n") - 2
        if count > self._max_header_count:
            raise HeadersTooLarge(f"The request has more than {self._max_header_count} header fields.")
        keys = self._keys
        environ: Environ = {keys[name]: value.decode("latin-1") for name, value in fields.items()}
        if len(environ) != count or UNDERSCORED in environ:
            return self._repeated_fields_of(head)
        return environ

    def _repeated_fields_of(self, head: bytes) -> Environ:
        environ: Environ = {}
        underscored = set()
        for line in head.split(b"\r\n")[1:-2]:
            name, _, raw = line.partition(b":")
            key, value = self._keys[name], raw.strip(b" \t").decode("latin-1")
            if key == UNDERSCORED:
                underscored.add(self._keys[name.replace(b"_", b"-")])
            elif key not in environ:
                environ[key] = value
            elif key in SINGLE:
                raise RequestMalformed(f"The header field {name.decode('ascii')} may stand only once.")
            else:
                environ[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value
        # X_Key would become the same environ key as X-Key, which a proxy in front may own: dropped, as nginx does,
        # and refused where it would stand for one that is there or that decides where the request ends.
        if underscored & (environ.keys() | SINGLE):
            raise RequestMalformed("A header field with an underscore in its name imitates another field.")
        return environ
