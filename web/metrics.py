"""Prometheus families and their closed label sets.

Nothing here costs a request more than a few additions: lanes count their own calls, `HttpStats` counts answers in a
dict, and the families are made from these at scrape time. A model that was removed leaves no series, and a path that
no route knows adds none.
"""

from __future__ import annotations

import logging
import platform
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import prometheus_client
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Sample

from loader.lane import BUCKETS_SECONDS
from loader.registry import LOAD_BUCKETS_SECONDS, Entry, Registry

log = logging.getLogger("model_serving.metrics")

METHODS = frozenset({"GET", "POST", "HEAD"})
HTTP_BUCKETS_SECONDS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


#: Route, method and status.
Answer = tuple[str, str, int]


class HttpStats:
    """Counts of answers by route, method and status; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, str, str], tuple[Answer, list[float]]] = {}
        self.answers: dict[Answer, int] = {}
        self.durations: dict[str, list[float]] = {}

    def count(self, route: str, method: str, status_line: str, seconds: float) -> None:
        """Count one answer; a method outside of the closed set counts as `other`."""
        known = self._keys.get((route, method, status_line))
        if known is None:
            known = self._know(route, method, status_line)
        key, row = known
        with self._lock:
            self.answers[key] += 1
            row[bisect_left(HTTP_BUCKETS_SECONDS, seconds)] += 1
            row[-1] += seconds

    def _know(self, route: str, method: str, status_line: str) -> tuple[Answer, list[float]]:
        """Make the counters of an answer that was not given before, so that the next one finds them at once."""
        key = (route, method if method in METHODS else "other", int(status_line[:3]))
        with self._lock:
            self.answers.setdefault(key, 0)
            row = self.durations.setdefault(route, [0.0] * (len(HTTP_BUCKETS_SECONDS) + 2))
            if method in METHODS:  # what a client makes up must not fill the memory
                self._keys[route, method, status_line] = key, row
        return key, row


class ServingCollector:
    """Makes the families of the server and of every model when it is scraped."""

    def __init__(
        self, registry: Registry, http: HttpStats, watcher_restarts: Callable[[], int], version: str
    ) -> None:
        """Read from *registry* and *http* at each scrape; *version* is this server's own."""
        self._registry = registry
        self._http = http
        self._watcher_restarts = watcher_restarts
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        entries = list(self._registry.entries.values())
        yield from _request_families(entries)
        yield from _load_families(entries)
        yield from self._server_families()
        yield from self._http_families()

    def _server_families(self) -> Iterator[Metric]:
        registry = self._registry
        info = GaugeMetricFamily("checkout_info", "The commit that the checkout is at.", labels=["revision"])
        info.add_metric([registry.revision or "-"], 1)
        yield info
        changed = registry.changed_at.timestamp() if registry.changed_at else 0
        yield GaugeMetricFamily(
            "checkout_last_change_timestamp_seconds", "When new content was last seen.", changed
        )
        yield GaugeMetricFamily(
            "checkout_refused",
            "1 while the models root as a whole cannot be taken as it is.",
            float(bool(registry.problem)),
        )
        yield CounterMetricFamily(
            "watcher_restarts", "Observers that died and were replaced.", self._watcher_restarts()
        )
        build = GaugeMetricFamily("build_info", "This server.", labels=["version", "python"])
        build.add_metric([self._version, platform.python_version()], 1)
        yield build

    def _http_families(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("http_requests", "Answers sent.", labels=["route", "method", "status"])
        for (route, method, status), count in sorted(self._http.answers.copy().items()):
            requests.add_metric([route, method, str(status)], count)
        yield requests
        durations = HistogramMetricFamily(
            "http_request_duration_seconds", "From the complete request to its answer.", labels=["route"]
        )
        for route, row in sorted(self._http.durations.copy().items()):
            durations.add_metric([route], *_histogram(HTTP_BUCKETS_SECONDS, row[:-1], row[-1]))
        yield durations


def _request_families(entries: list[Entry]) -> Iterator[Metric]:
    requests = CounterMetricFamily("model_requests", "Calls by how they ended.", labels=["model", "outcome"])
    durations = HistogramMetricFamily(
        "model_request_duration_seconds", "Time inside the model's own code.", labels=["model"]
    )
    queued = SummaryMetricFamily(
        "model_queue_duration_seconds", "Time that a call waited for its slot.", labels=["model"]
    )
    running = GaugeMetricFamily("model_requests_in_progress", "Calls inside the model now.", labels=["model"])
    waiting = GaugeMetricFamily("model_requests_waiting", "Calls that wait for a slot now.", labels=["model"])
    stuck = GaugeMetricFamily("model_calls_stuck", "Calls inside past their deadline.", labels=["model"])
    for entry in entries:
        lane, label = entry.lane, [entry.name]
        for outcome, count in lane.outcomes.items():
            requests.add_metric([entry.name, outcome], count)
        if any(lane.buckets):
            durations.add_metric(label, *_histogram(BUCKETS_SECONDS, lane.buckets, lane.duration_seconds))
            queued.add_metric(label, lane.waited_count, lane.waited_seconds)
        running.add_metric(label, lane.running)
        waiting.add_metric(label, lane.waiting)
        stuck.add_metric(label, lane.stuck)
    yield from (requests, durations, queued, running, waiting, stuck)


def _load_families(entries: list[Entry]) -> Iterator[Metric]:
    loads = CounterMetricFamily("model_loads", "Loads by how they ended.", labels=["model", "outcome"])
    durations = HistogramMetricFamily(
        "model_load_duration_seconds", "Time that a load took.", labels=["model"]
    )
    last = GaugeMetricFamily(
        "model_last_load_timestamp_seconds", "When the last load ended.", labels=["model"]
    )
    info = GaugeMetricFamily(
        "model_info", "The version that serves.", labels=["model", "revision", "version"]
    )
    is_up = GaugeMetricFamily("model_up", "1 when a version serves.", labels=["model"])
    outdated = GaugeMetricFamily(
        "model_outdated", "1 while the newest content does not load.", labels=["model"]
    )
    for entry in entries:
        model, label = entry.model, [entry.name]
        for outcome, count in entry.loads.outcomes.items():
            loads.add_metric([entry.name, outcome], count)
        durations.add_metric(
            label, *_histogram(LOAD_BUCKETS_SECONDS, entry.loads.buckets, entry.loads.duration_seconds)
        )
        if entry.loads.last_at is not None:
            last.add_metric(label, entry.loads.last_at.timestamp())
        if model is not None:
            info.add_metric([entry.name, model.revision or "-", model.version], 1)
        is_up.add_metric(label, float(model is not None))
        outdated.add_metric(label, float(entry.failure is not None))
    yield from (loads, durations, last, info, is_up, outdated)


def _histogram(
    bounds: Sequence[float], counts: Sequence[float], total_seconds: float
) -> tuple[list[tuple[str, float]], float]:
    names = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True)), total_seconds


class ModelCollectors:
    """What model code registers itself: every live version's own collectors, each sample with its model's name."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield each family once, with the samples of all models that have it; a broken collector is left out."""
        families: dict[str, Metric] = {}
        for entry in self._registry.entries.values():
            model = entry.model
            for metric in _collected(entry.name, model.namespace.collectors) if model else ():
                family = families.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                if family.type == metric.type:
                    family.samples += [_labelled(sample, entry.name) for sample in metric.samples]
        yield from families.values()


def _collected(name: str, collectors: prometheus_client.CollectorRegistry) -> list[Metric]:
    try:
        return list(collectors.collect())
    except Exception:  # model code; a scrape must not fail for it
        log.warning("model collector failed", extra={"model": name}, exc_info=True)
        return []


def _labelled(sample: Sample, model: str) -> Sample:
    labels = {("exported_model" if key == "model" else key): value for key, value in sample.labels.items()}
    return sample._replace(labels={"model": model, **labels})


class Exposition:
    """All collectors of the process as one page; a name that two of them have is given to the first."""

    def __init__(
        self, collectors: Sequence[ServingCollector | ModelCollectors | prometheus_client.CollectorRegistry]
    ) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        """Yield every family of every collector."""
        seen: set[str] = set()
        for collector in self._collectors:
            for metric in collector.collect():
                if metric.name not in seen:
                    seen.add(metric.name)
                    yield metric

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type: Prometheus text, or OpenMetrics when *accept* asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self), content_type
