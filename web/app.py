"""The routes: an HTTP request becomes one call of a model.

Bottle routes; every handler returns one whole `Response`, so that of Bottle's request and response machinery nothing
runs that a row would pay for, and no error page of its own can ever be sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import bottle
import orjson

from loader.errors import ModelNotLoaded, ModelUnknown, Overloaded, ServingError
from loader.lane import FULL, Lane
from loader.registry import Entry, Registry
from web.answers import Answers
from web.encoding import decode_body
from web.fanout import Crew, Part, run_all
from web.incoming import CALL, ENTRY, REQUEST_ID, ROUTE, Environ, RequestIds, body_of
from web.metrics import Exposition, HttpStats
from web.pages import NearestName, status_page, unready_reasons
from web.problems import (
    AllFailed,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Response,
    as_document,
)
from web.scoring import reason_down, score

log = logging.getLogger("model_serving.app")

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
        answers: Makes and counts the answers; the engine asks it for those that it gives in our place.
    """

    def __init__(
        self, registry: Registry, http: HttpStats, exposition: Exposition, settings: AppSettings
    ) -> None:
        """Make the application over *registry*."""
        self.is_draining = False
        self._bottle = bottle.Bottle()
        self._registry = registry
        self._exposition = exposition
        self._settings = settings
        self._base = f"/{settings.base_url}" if settings.base_url else ""
        self._nearest = NearestName(registry)
        self._crew = Crew(settings.threads)
        self._ids = RequestIds()
        self.answers = Answers(
            http, self._ids, request_timeout_seconds=settings.request_timeout_seconds, debug=settings.debug
        )
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
        environ[REQUEST_ID] = self._ids.of(environ)
        try:
            status, headers, body = self._dispatch(environ)
        except ServingError as error:
            status, headers, body = self.answers.problem(error, environ)
        except BaseException as error:
            log.exception(
                "request failed", extra={"request_id": environ[REQUEST_ID], "path": environ["PATH_INFO"]}
            )
            status, headers, body = self.answers.problem(
                ServingError(f"{type(error).__name__} in the server"), environ
            )
        if call is None or not call.is_stuck:  # else `on_deadline` has counted it
            self.answers.count(environ, status, time.monotonic() - received)
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
        return self.answers.ok(environ, orjson.dumps({"status": "alive"}))

    def _readyz(self, environ: Environ) -> Response:
        reasons = unready_reasons(self._registry, self._settings.ready_policy, is_draining=self.is_draining)
        if reasons:
            raise NotReady("; ".join(reasons[:10]), reasons=reasons)
        return self.answers.ok(environ, orjson.dumps({"status": "ready"}))

    def _metrics(self, environ: Environ) -> Response:
        body, content_type = self._exposition.render(environ.get("HTTP_ACCEPT", ""))
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("X-Request-Id", environ[REQUEST_ID]),
        ]
        return "200 OK", headers, body

    def _status(self, environ: Environ) -> Response:
        return self.answers.ok(environ, orjson.dumps(status_page(self._registry), option=orjson.OPT_INDENT_2))

    def _ready(self, environ: Environ, name: str) -> Response:
        entry = self._find(name)
        if entry.model is None:
            raise ModelNotLoaded(reason_down(entry), model=entry.name, retry_after_seconds=5)
        return self.answers.ok(environ, orjson.dumps(entry.describe()))

    def _all(self, environ: Environ) -> Response:
        call = environ.get(CALL)
        if call is not None and call.admission is FULL:
            raise Overloaded("too many requests for all models at once", retry_after_seconds=1)
        deadline = (
            call.deadline if call is not None else time.monotonic() + self._settings.request_timeout_seconds
        )
        entries = [entry for entry in self._registry.entries.values() if entry.is_model]
        parts = run_all(
            entries, body_of(environ), environ[REQUEST_ID], deadline - ALL_MARGIN_SECONDS, self._crew
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
        return self.answers.ok(environ, b"{" + body + b"}", *headers)

    def _errors_of(self, parts: list[Part], request_id: str) -> dict[str, Any]:
        return {
            part.entry.name: {"error": as_document(self.answers.explain(part.error), request_id)}
            for part in parts
            if part.error is not None
        }

    def _part_json(self, part: Part, environ: Environ) -> bytes:
        if part.error is None:
            return part.answer or b"{}"
        return orjson.dumps({"error": as_document(self.answers.explain(part.error), environ[REQUEST_ID])})

    def _score(self, environ: Environ, entry: Entry) -> Response:
        call = environ[CALL]
        if call.admission is FULL:
            raise Overloaded("too many calls wait for this model", model=entry.name, retry_after_seconds=1)
        try:
            variables = decode_body(body_of(environ))
        except ServingError as error:
            entry.lane.count("invalid")
            error.model = entry.name
            raise
        return self.answers.scored(environ, call.version, score(entry, call, variables, environ[REQUEST_ID]))

    def _score_other(self, environ: Environ, name: str) -> Response:
        """Score by a path that is not the model's plain one (a trailing slash, accents composed otherwise)."""
        entry = self._find(name)
        call = environ.get(CALL)
        deadline = (
            call.deadline if call is not None else time.monotonic() + self._settings.request_timeout_seconds
        )
        part = run_all([entry], body_of(environ), environ[REQUEST_ID], deadline, self._crew)[0]
        if part.error is not None:
            raise part.error
        return self.answers.scored(environ, part.version, part.answer or b"")

    def _find(self, name: str) -> Entry:
        entry = self._registry.get(name)
        if entry is None:
            nearest = self._nearest.find(name)
            hint = f"; did you mean {nearest}?" if nearest else ""
            error = ModelUnknown(f"no model folder has this name{hint}", model=name)
            error.members |= {"nearest": nearest} if nearest else {}
            raise error
        return entry
