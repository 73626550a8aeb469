"""Whole answers: what every one of them carries, and how it is counted."""

from __future__ import annotations

import logging
import traceback

from loader.errors import DeadlineExceeded, Overloaded, ServingError
from loader.model import Model
from web.incoming import ENTRY, REQUEST_ID, ROUTE, Environ, RequestIds
from web.metrics import HttpStats
from web.problems import Response, render

log = logging.getLogger("model_serving.http")

JSON = ("Content-Type", "application/json")
#: Routes that machines call all the time, and that say nothing in a log.
QUIET_ROUTES = frozenset({"healthz", "readyz", "metrics"})


class Answers:
    """Makes the answers of the application, and those that the engine gives in its place; any thread."""

    def __init__(
        self, http: HttpStats, ids: RequestIds, *, request_timeout_seconds: float, debug: bool
    ) -> None:
        """Count in *http*; *debug* shows tracebacks to the client."""
        self._http = http
        self._ids = ids
        self._timeout_seconds = request_timeout_seconds
        self._debug = debug

    def scored(self, environ: Environ, model: Model, body: bytes) -> Response:
        """Return a model's answer, with the version and the commit that gave it."""
        headers = [
            JSON,
            ("Content-Length", str(len(body))),
            ("X-Request-Id", environ[REQUEST_ID]),
            ("X-Model-Version", model.version),
        ]
        if model.revision is not None:
            headers.append(("X-Model-Revision", model.revision))
        return "200 OK", headers, body

    def ok(self, environ: Environ, body: bytes, *more: tuple[str, str]) -> Response:
        """Return an answer of the server's own."""
        headers = [JSON, ("Content-Length", str(len(body))), ("X-Request-Id", environ[REQUEST_ID]), *more]
        return "200 OK", headers, body

    def explain(self, error: ServingError) -> ServingError:
        """Add the traceback of the model's error when DEBUG is on."""
        if self._debug and error.__cause__ is not None:
            error.members["traceback"] = traceback.format_exception(error.__cause__)
        return error

    def problem(self, error: ServingError, environ: Environ) -> Response:
        """Return *error* as the answer to a request."""
        response = render(self.explain(error), environ[REQUEST_ID])
        model = environ[ENTRY].model if ENTRY in environ else None
        if model is not None:
            response[1].append(("X-Model-Version", model.version))
            if model.revision is not None:
                response[1].append(("X-Model-Revision", model.revision))
        return response

    def count(self, environ: Environ, status: str, seconds: float) -> None:
        """Count an answer, and log it where the log is that detailed."""
        route = environ.get(ROUTE, "unknown")
        self._http.count(route, environ["REQUEST_METHOD"], status, seconds)
        if log.isEnabledFor(logging.DEBUG) and route not in QUIET_ROUTES:
            fields = {
                "request_id": environ[REQUEST_ID],
                "route": route,
                "status": int(status[:3]),
                "seconds": seconds,
            }
            log.debug("request answered", extra=fields)

    def on_deadline(self, environ: Environ, was_running: bool) -> Response:
        """Answer for a request whose deadline passed: 504 when its call ran, 503 when it never did."""
        environ.setdefault(REQUEST_ID, self._ids.of(environ))
        environ.setdefault(ROUTE, "model" if ENTRY in environ else "unknown")
        name = environ[ENTRY].name if ENTRY in environ else None
        seconds = self._timeout_seconds
        error: ServingError = Overloaded(
            f"the call waited {seconds:g} s for its turn and was never run", model=name, retry_after_seconds=1
        )
        if was_running:
            error = DeadlineExceeded(
                f"no answer within {seconds:g} s; the call's result will be dropped", model=name
            )
            log.warning(
                "call stuck", extra={"model": name, "request_id": environ[REQUEST_ID], "seconds": seconds}
            )
        response = self.problem(error, environ)
        self.count(environ, response[0], seconds)
        return response

    def on_rejected(self, error: ServingError, environ: Environ | None) -> Response:
        """Answer for bytes that are no request that the application may see."""
        environ = environ or {}
        environ.setdefault("REQUEST_METHOD", "other")
        environ[REQUEST_ID] = self._ids.of(environ)
        environ[ROUTE] = "malformed" if error.status < 500 else "unknown"
        response = render(error, environ[REQUEST_ID])
        self.count(environ, response[0], 0.0)
        log.info(
            "request refused",
            extra={"request_id": environ[REQUEST_ID], "status": error.status, "error": error.detail},
        )
        return response
