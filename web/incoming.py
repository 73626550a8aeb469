"""What is read from a request before a model sees it: its body, its id, and what was found out on its way."""

from __future__ import annotations

import os
import re
from itertools import count
from typing import Any

from web.problems import NotJson

Environ = dict[str, Any]
#: Where the environ carries the request's ticket (set by the engine) and what was found out on its way.
CALL = "model_serving.call"
ROUTE = "model_serving.route"
ENTRY = "model_serving.entry"
REQUEST_ID = "model_serving.request_id"

JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)
SANE_REQUEST_ID = re.compile(r"[\w.:@+/=-]{1,128}", re.ASCII)


class RequestIds:
    """Gives every request an id: the caller's own where it is sane, else a new one that is unique among processes."""

    def __init__(self) -> None:
        self._boot = os.urandom(4).hex()
        self._numbers = count(1)

    def of(self, environ: Environ) -> str:
        """Return the id of a request."""
        given = environ.get("HTTP_X_REQUEST_ID")
        if given is not None and SANE_REQUEST_ID.fullmatch(given):
            return str(given)
        return f"{self._boot}-{next(self._numbers):x}"


def body_of(environ: Environ) -> bytes:
    """Return the posted body, which may be empty.

    Raises:
        NotJson: It is declared as something else.
    """
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type != "application/json" and body and content_type and not JSON_TYPE.match(content_type):
        raise NotJson(f"the body is declared as {content_type}; send Content-Type: application/json")
    return body
