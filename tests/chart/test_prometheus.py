"""A real Prometheus scrapes the real server, evaluates the release's rules and answers the dashboard's queries."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml

from tests.chart.monitoring import GIT, JOB, command, dashboard_queries, rule_groups
from tests.chart.rendering import NAMESPACE, of_kind, render, values_of
from tests.processes import Process, Server, wait_until
from tests.publishing import write_tree

#: What git-sync 4.7 says on /metrics after a sync with news and one without.
GIT_SYNC_METRICS = b"""# HELP git_sync_count_total How many git syncs completed, partitioned by state
# TYPE git_sync_count_total counter
git_sync_count_total{status="noop"} 3
git_sync_count_total{status="success"} 1
"""
MODELS = {
    "doubles/etls.py": "class Model:\n    def transform_predict(self, number: int) -> dict:\n"
    "        return {'doubled': number * 2}\n",
    "broken/etls.py": "import no_such_library\n",
}


class _GitSync(BaseHTTPRequestHandler):
    """Answers every path with git-sync's metrics."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(GIT_SYNC_METRICS)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Prometheus(Process):
    """Prometheus on a port of this machine, with the release's rules and its two targets."""

    def __init__(self, folder: Path, server: str, git_sync: str) -> None:
        (folder / "rules.yaml").write_text(yaml.safe_dump(rule_groups()))
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(_configuration(server, git_sync)))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        super().__init__(
            [
                command("prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            environ=os.environ,
            folder=folder,
            log=folder / "prometheus.log",
        )
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer, or None while it does not answer."""
        try:
            response = requests.get(f"{self.url}/{path}", params=parameters, timeout=5)
        except requests.ConnectionError:
            return None
        if response.status_code == 503:  # it listens before it is ready
            return None
        answer = response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, query: str) -> list[Any]:
        """Return what a query gives now."""
        data = self.get("query", query=query)
        found: list[Any] = data["result"] if data else []
        return found


def _configuration(server: str, git_sync: str) -> dict[str, Any]:
    """Return a configuration with the labels that the chart's monitors make."""

    def job(name: str, target: str) -> dict[str, Any]:
        labels = {"namespace": NAMESPACE, "pod": "models-1"}
        return {"job_name": name, "static_configs": [{"targets": [target], "labels": labels}]}

    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [job(JOB, urlsplit(server).netloc), job(f"{JOB}-git-sync", git_sync)],
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real server with a model that works and one that does not load."""
    folder = tmp_path_factory.mktemp("server")
    write_tree(folder / "models", MODELS)
    settings = {
        "MODELS_DIR": str(folder / "models"),
        "STATE_DIR": str(folder / "state"),
        "DRAIN_DELAY_SECONDS": "0",
    }
    running = Server(sys.executable, folder / "server.log", **settings)
    try:
        running.wait_until_ready()
        yield running
        assert running.end() == 0, running.output()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def git_sync() -> Iterator[str]:
    """The address of what stands in for git-sync's metrics."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _GitSync)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield f"127.0.0.1:{listener.server_port}"
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.fixture(scope="module")
def prometheus(
    server: Server, git_sync: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus over both, after some rows were scored between its scrapes."""
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), server.url, git_sync)
    try:
        running.wait_for(lambda: score(server) and scored(running), "rows to be scraped", within=60)
        yield running
        running.end()
    finally:
        running.kill()


def score(server: Server) -> bool:
    """Score a good row and a bad one."""
    address = f"{server.url}/models_serve/doubles"
    good = requests.post(address, json={"variables": {"number": 21}}, timeout=10)
    bad = requests.post(address, json={"variables": {"number": "x"}}, timeout=10)
    return (good.json(), bad.status_code) == ({"doubled": 42}, 422)


def scored(prometheus: Prometheus) -> bool:
    """Tell whether Prometheus has seen calls at two scrapes."""
    return bool(prometheus.series('rate(model_request_duration_seconds_count{model="doubles"}[1m]) > 0'))


def test_both_targets_are_up(prometheus: Prometheus) -> None:
    """The server and git-sync are scraped on the paths that the monitors name."""
    targets = prometheus.get("targets")["activeTargets"]
    assert {(t["labels"]["job"], t["health"], t["lastError"]) for t in targets} == {
        (JOB, "up", ""),
        (f"{JOB}-git-sync", "up", ""),
    }


@pytest.mark.parametrize(
    ("panel", "query"), list(dashboard_queries()), ids=[p for p, _ in dashboard_queries()]
)
def test_every_panel_has_a_series(prometheus: Prometheus, server: Server, panel: str, query: str) -> None:
    """A panel that asks for a metric that the server does not have stays empty, and nobody knows why."""
    wait_until(
        lambda: score(server) and prometheus.series(query), f"{panel} to have a series: {query}", within=30
    )


def test_every_rule_evaluates(prometheus: Prometheus) -> None:
    """A rule that fails, for two series that match one for instance, never fires."""

    def all_evaluated() -> list[Any]:
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_until(all_evaluated, "every rule to be evaluated", within=30)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert len(rules) == sum(len(group["rules"]) for group in rule_groups()["groups"])


def test_a_folder_that_does_not_load_raises_its_alerts(prometheus: Prometheus) -> None:
    """From the server's own metrics, not from made-up ones."""

    def names() -> set[str] | None:
        found = {a["labels"]["alertname"] for a in prometheus.get("alerts")["alerts"]}
        return found if "ModelLoadFailed" in found else None

    assert wait_until(names, "the alert on the broken folder", within=30) == {"ModelDown", "ModelLoadFailed"}


def test_git_syncs_are_counted_under_their_own_job(prometheus: Prometheus) -> None:
    """The rules on syncs select this job."""
    assert len(prometheus.series(f"git_sync_count_total{{{GIT}}}")) == 2


def test_the_scaler_has_a_number(prometheus: Prometheus) -> None:
    """KEDA with a query that finds nothing never scales."""
    (trigger,) = of_kind(render(values_of("keda")), "ScaledObject")["spec"]["triggers"]
    (series,) = prometheus.series(trigger["metadata"]["query"])
    assert float(series["value"][1]) >= 0
