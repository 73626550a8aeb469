"""Every error becomes one RFC 9457 problem document; there is no other error path.

The tree begins in `loader.errors`; here stand the errors that only HTTP knows, and the one renderer.
"""

from __future__ import annotations

import http
from typing import TypeAlias

import orjson

from loader.errors import ServingError

#: Status line, headers and body of a whole answer.
Response: TypeAlias = tuple[str, list[tuple[str, str]], bytes]

TYPE_PREFIX = "urn:model-serving:problem:"
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in http.HTTPStatus}


class BodyMalformed(ServingError):
    """The body is no JSON object, or has a number that cannot be kept exact."""

    status = 400
    slug = "body-malformed"
    title = "The body is not what a model takes"


class RequestMalformed(ServingError):
    """The bytes are no HTTP request that may be trusted (RFC 9112)."""

    status = 400
    slug = "request-malformed"
    title = "Malformed request"


class NotFound(ServingError):
    """No route has this path."""

    status = 404
    slug = "not-found"
    title = "No such page"


class MethodNotAllowed(ServingError):
    """The route exists, but not with this method; `allow` lists those it takes."""

    status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"

    def __init__(self, detail: str, *, allow: str) -> None:
        super().__init__(detail)
        self.allow = allow


class NotReady(ServingError):
    """The server should get no traffic now; `reasons` lists why."""

    status = 503
    slug = "not-ready"
    title = "Not ready"


class AllFailed(ServingError):
    """Every model failed; each one's problem stands under its name."""

    slug = "all-models-failed"
    title = "Every model failed"


class RequestTimedOut(ServingError):
    """The request did not arrive in time."""

    status = 408
    slug = "request-timeout"
    title = "The request did not arrive in time"


class BodyTooLarge(ServingError):
    """The body is larger than `MAX_BODY_BYTES`."""

    status = 413
    slug = "body-too-large"
    title = "The body is too large"


class TargetTooLong(ServingError):
    """The request line alone is longer than a head may be."""

    status = 414
    slug = "target-too-long"
    title = "The request target is too long"


class NotJson(ServingError):
    """The body is declared as something else than JSON."""

    status = 415
    slug = "not-json"
    title = "The body is not JSON"


class ExpectationFailed(ServingError):
    """The request expects something that this server does not do."""

    status = 417
    slug = "expectation-failed"
    title = "The expectation cannot be met"


class HeadersTooLarge(ServingError):
    """The head has too many fields or too many bytes."""

    status = 431
    slug = "headers-too-large"
    title = "The header fields are too large"


class NotImplementedHere(ServingError):
    """A method or a transfer coding that this server does not know."""

    status = 501
    slug = "not-implemented"
    title = "Not implemented"


class VersionNotSupported(ServingError):
    """Another major version of HTTP."""

    status = 505
    slug = "version-not-supported"
    title = "This version of HTTP is not spoken here"


def status_line(status: int) -> str:
    """Return the status with its phrase, as WSGI wants it: `404 Not Found`."""
    return STATUS_LINES.get(status) or f"{status} Unknown"


def as_document(error: ServingError, request_id: str) -> dict[str, object]:
    """Return the members of *error*'s problem document (RFC 9457, section 3)."""
    document: dict[str, object] = {
        "type": TYPE_PREFIX + error.slug,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "request_id": request_id,
    }
    if error.model is not None:
        document["model"] = error.model
    return error.members | document


def render(error: ServingError, request_id: str) -> Response:
    """Return *error* as a whole HTTP answer."""
    headers = [("Content-Type", "application/problem+json"), ("X-Request-Id", request_id)]
    if error.retry_after_seconds is not None:
        headers.append(("Retry-After", str(error.retry_after_seconds)))
    if isinstance(error, MethodNotAllowed):
        headers.append(("Allow", error.allow))
    body = orjson.dumps(as_document(error, request_id))
    headers.append(("Content-Length", str(len(body))))
    return status_line(error.status), headers, body
