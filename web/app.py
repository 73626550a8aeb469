"""The routes: an HTTP request becomes one call of a model.

Bottle routes; every handler returns one whole `Response`, so that of Bottle's request and response machinery nothing
runs that a row would pay for, and no error page of its own can ever be sent.
"""

from __future__ import annotations

import logging
import os
import re
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import bottle
import orjson

from loader.errors import DeadlineExceeded, ModelNotLoaded, ModelUnknown, Overloaded, ServingError
from loader.lane import Admission, Lane
from loader.model import Model
from loader.registry import Entry, Registry
from web.encoding import decode_body
from web.fanout import Crew, Part, run_all
from web.metrics import Exposition, HttpStats
from web.pages import NearestName, status_page, unready_reasons
from web.problems import (
    AllFailed,
    MethodNotAllowed,
    NotFound,
    NotJson,
    NotReady,
    Response,
    as_document,
    render,
)
from web.scoring import reason_down, score

log = logging.getLogger("model_serving.app")

Environ = dict[str, Any]
#: Where the environ carries the request's ticket (set by the engine) and what was found out on its way.
CALL = "model_serving.call"
ROUTE = "model_serving.route"
ENTRY = "model_serving.entry"
REQUEST_ID = "model_serving.request_id"

JSON = ("Content-Type", "application/json")
JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)
SANE_REQUEST_ID = re.compile(r"[\w.:@+/=-]{1,128}", re.ASCII)
#: Routes that machines call all the time, and that say nothing in a log.
QUIET_ROUTES = frozenset({"healthz", "readyz", "metrics"})
#: `/all` answers this much before its own deadline, so that it can say which models were late.
ALL_MARGIN_SECONDS = 0.1


@dataclass(frozen=True)
class AppSettings:
    """What the application needs of the settings; see `settings.SETTINGS`."""

    base_url: str
    threads: int
    ready_policy: str
    request_timeout_seconds: float
    debug: bool


class AllModels:
    """What `/all` runs on in its own lane: no model, but it needs a slot as one does."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.running = 0
        self.stuck = 0
        self.is_retired = False


class ServingApp:
    """The WSGI application.

    Attributes:
        is_draining: Set at the beginning of a shutdown; `/readyz` says 503 from then on.
    """

    def __init__(
        self, registry: Registry, http: HttpStats, exposition: Exposition, settings: AppSettings
    ) -> None:
        """Make the application over *registry*."""
        self.is_draining = False
        self._bottle = bottle.Bottle()
        self._registry = registry
        self._http = http
        self._exposition = exposition
        self._settings = settings
        self._base = f"/{settings.base_url}" if settings.base_url else ""
        self._nearest = NearestName(registry)
        self._crew = Crew(settings.threads)
        self._boot = os.urandom(4).hex()
        self._numbers = count(1)
        self._paths: dict[str, Entry] = {}
        self._all_path = f"{self._base}/all"
        self._all_lane = Lane(settings.threads, lambda _, __: None, lambda _: None)
        self._all_lane.publish(AllModels(max(1, settings.threads // 4)))
        registry.on_change(self._index_paths)
        self._add_routes()

    def _add_routes(self) -> None:
        route = self._bottle.route
        reading, scoring = ["GET", "HEAD"], ["GET", "HEAD", "POST"]
        route("/healthz", reading, self._healthz, name="healthz")
        route("/readyz", reading, self._readyz, name="readyz")
        route("/metrics", reading, self._metrics, name="metrics")
        for path in sorted({"/", self._base or "/", f"{self._base}/"}):
            route(path, reading, self._status, name="status")
        route(self._all_path, scoring, self._all, name="all")
        route(f"{self._base}/<name:re:[^/]+>/ready", reading, self._ready, name="ready")
        route(f"{self._base}/<name:re:[^/]+>", scoring, self._score_other, name="model")
        route(f"{self._base}/<name:re:[^/]+>/", scoring, self._score_other, name="model")

    def _index_paths(self) -> None:
        """Know each model by its path as WSGI spells it, so that a request finds its lane by one look-up."""
        self._paths = {
            f"{self._base}/{name}".encode("utf-8", "surrogateescape").decode("latin-1"): entry
            for name, entry in self._registry.entries.items()
            if entry.is_model
        }

    def lane_for(self, environ: Environ) -> Lane | None:
        """Return the lane that this request has to enter, or None when it can be answered at once."""
        path = environ["PATH_INFO"]
        if path == self._all_path:
            return self._all_lane
        entry = self._paths.get(path)
        if entry is None or environ["REQUEST_METHOD"] not in ("POST", "GET", "HEAD"):
            return None
        environ[ENTRY] = entry
        return entry.lane

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request; nothing that goes wrong gets past here."""
        call = environ.get(CALL)
        received = call.received if call is not None else time.monotonic()
        environ[REQUEST_ID] = self._request_id(environ)
        try:
            status, headers, body = self._dispatch(environ)
        except ServingError as error:
            status, headers, body = self._problem(error, environ)
        except BaseException as error:
            log.exception(
                "request failed", extra={"request_id": environ[REQUEST_ID], "path": environ["PATH_INFO"]}
            )
            status, headers, body = self._problem(
                ServingError(f"{type(error).__name__} in the server"), environ
            )
        if call is None or not call.is_stuck:  # else `on_deadline` has counted it
            self._count(environ, status, time.monotonic() - received)
        start_response(status, headers)
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else []

    def _dispatch(self, environ: Environ) -> Response:
        if ENTRY in environ:
            environ[ROUTE] = "model"
            return self._score(environ, environ[ENTRY])
        try:
            # What is no UTF-8 is no path of ours.
            environ["PATH_INFO"] = environ["PATH_INFO"].encode("latin-1").decode("utf-8")
            route, arguments = self._bottle.router.match(environ)
        except bottle.HTTPError as error:
            if error.status_code != 405:
                raise self._not_found() from None
            allow = ", ".join(sorted(error.headers["Allow"].split(",")))
            raise MethodNotAllowed(f"{environ['REQUEST_METHOD']} is not for this path", allow=allow) from None
        except UnicodeDecodeError:
            raise self._not_found() from None
        environ[ROUTE] = route.name
        response: Response = route.callback(environ, **arguments)
        return response

    def _not_found(self) -> NotFound:
        return NotFound(f"nothing is served at this path; models are at {self._base}/<model>")

    def _healthz(self, environ: Environ) -> Response:
        return self._ok(environ, orjson.dumps({"status": "alive"}))

    def _readyz(self, environ: Environ) -> Response:
        reasons = unready_reasons(self._registry, self._settings.ready_policy, is_draining=self.is_draining)
        if reasons:
            raise NotReady("; ".join(reasons[:10]), reasons=reasons)
        return self._ok(environ, orjson.dumps({"status": "ready"}))

    def _metrics(self, environ: Environ) -> Response:
        body, content_type = self._exposition.render(environ.get("HTTP_ACCEPT", ""))
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("X-Request-Id", environ[REQUEST_ID]),
        ]
        return "200 OK", headers, body

    def _status(self, environ: Environ) -> Response:
        return self._ok(environ, orjson.dumps(status_page(self._registry), option=orjson.OPT_INDENT_2))

    def _ready(self, environ: Environ, name: str) -> Response:
        entry = self._find(name)
        if entry.model is None:
            raise ModelNotLoaded(reason_down(entry), model=entry.name, retry_after_seconds=5)
        return self._ok(environ, orjson.dumps(entry.describe()))

    def _all(self, environ: Environ) -> Response:
        call = environ.get(CALL)
        if call is not None and call.admission is Admission.FULL:
            raise Overloaded("too many requests for all models at once", retry_after_seconds=1)
        deadline = (
            call.deadline if call is not None else time.monotonic() + self._settings.request_timeout_seconds
        )
        entries = [entry for entry in self._registry.entries.values() if entry.is_model]
        parts = run_all(
            entries, self._variables(environ), environ[REQUEST_ID], deadline - ALL_MARGIN_SECONDS, self._crew
        )
        failed = sum(part.error is not None for part in parts)
        if parts and failed == len(parts):
            raise AllFailed(f"all {failed} models failed", **self._errors_of(parts, environ[REQUEST_ID]))
        body = b",".join(
            orjson.dumps(part.entry.name) + b":" + self._part_json(part, environ) for part in parts
        )
        headers = (
            ("X-Models-Failed", str(failed)),
            *((("X-Checkout-Revision", self._registry.revision),) if self._registry.revision else ()),
        )
        return self._ok(environ, b"{" + body + b"}", *headers)

    def _errors_of(self, parts: list[Part], request_id: str) -> dict[str, Any]:
        return {
            part.entry.name: {"error": as_document(self._explain(part.error), request_id)}
            for part in parts
            if part.error is not None
        }

    def _part_json(self, part: Part, environ: Environ) -> bytes:
        if part.error is None:
            return part.answer or b"{}"
        return orjson.dumps({"error": as_document(self._explain(part.error), environ[REQUEST_ID])})

    def _score(self, environ: Environ, entry: Entry) -> Response:
        call = environ[CALL]
        if call.admission is Admission.FULL:
            raise Overloaded("too many calls wait for this model", model=entry.name, retry_after_seconds=1)
        try:
            variables = self._variables(environ)
        except ServingError as error:
            entry.lane.count("invalid")
            error.model = entry.name
            raise
        return self._scored(environ, call.version, score(entry, call, variables, environ[REQUEST_ID]))

    def _score_other(self, environ: Environ, name: str) -> Response:
        """Score by a path that is not the model's plain one (a trailing slash, accents composed otherwise)."""
        entry = self._find(name)
        call = environ.get(CALL)
        deadline = (
            call.deadline if call is not None else time.monotonic() + self._settings.request_timeout_seconds
        )
        part = run_all([entry], self._variables(environ), environ[REQUEST_ID], deadline, self._crew)[0]
        if part.error is not None:
            raise part.error
        return self._scored(environ, part.version, part.answer or b"")

    def _find(self, name: str) -> Entry:
        entry = self._registry.get(name)
        if entry is None:
            nearest = self._nearest.find(name)
            hint = f"; did you mean {nearest}?" if nearest else ""
            error = ModelUnknown(f"no model folder has this name{hint}", model=name)
            error.members |= {"nearest": nearest} if nearest else {}
            raise error
        return entry

    def _scored(self, environ: Environ, model: Model, body: bytes) -> Response:
        headers = [
            JSON,
            ("Content-Length", str(len(body))),
            ("X-Request-Id", environ[REQUEST_ID]),
            ("X-Model-Version", model.version),
        ]
        if model.revision is not None:
            headers.append(("X-Model-Revision", model.revision))
        return "200 OK", headers, body

    def _ok(self, environ: Environ, body: bytes, *more: tuple[str, str]) -> Response:
        headers = [JSON, ("Content-Length", str(len(body))), ("X-Request-Id", environ[REQUEST_ID]), *more]
        return "200 OK", headers, body

    def _variables(self, environ: Environ) -> dict[str, Any] | None:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        content_type = environ.get("CONTENT_TYPE", "")
        if body and content_type and not JSON_TYPE.match(content_type):
            raise NotJson(f"the body is declared as {content_type}; send Content-Type: application/json")
        return decode_body(body)

    def _request_id(self, environ: Environ) -> str:
        given = environ.get("HTTP_X_REQUEST_ID")
        if given is not None and SANE_REQUEST_ID.fullmatch(given):
            return str(given)
        return f"{self._boot}-{next(self._numbers):x}"

    def _explain(self, error: ServingError) -> ServingError:
        """Add the traceback of the model's error when DEBUG is on."""
        if self._settings.debug and error.__cause__ is not None:
            error.members["traceback"] = traceback.format_exception(error.__cause__)
        return error

    def _problem(self, error: ServingError, environ: Environ) -> Response:
        response = render(self._explain(error), environ[REQUEST_ID])
        model = environ[ENTRY].model if ENTRY in environ else None
        if model is not None:
            response[1].append(("X-Model-Version", model.version))
            if model.revision is not None:
                response[1].append(("X-Model-Revision", model.revision))
        return response

    def _count(self, environ: Environ, status: str, seconds: float) -> None:
        route = environ.get(ROUTE, "unknown")
        self._http.count(route, environ["REQUEST_METHOD"], int(status[:3]), seconds)
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
        environ.setdefault(REQUEST_ID, self._request_id(environ))
        environ.setdefault(ROUTE, "model" if ENTRY in environ else "unknown")
        name = environ[ENTRY].name if ENTRY in environ else None
        seconds = self._settings.request_timeout_seconds
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
        response = self._problem(error, environ)
        self._count(environ, response[0], seconds)
        return response

    def on_rejected(self, error: ServingError, environ: Environ | None) -> Response:
        """Answer for bytes that are no request that the application may see."""
        environ = environ or {}
        environ.setdefault("REQUEST_METHOD", "other")
        environ[REQUEST_ID] = self._request_id(environ)
        environ[ROUTE] = "malformed"
        response = render(error, environ[REQUEST_ID])
        self._count(environ, response[0], 0.0)
        log.info(
            "request refused",
            extra={"request_id": environ[REQUEST_ID], "status": error.status, "error": error.detail},
        )
        return response
